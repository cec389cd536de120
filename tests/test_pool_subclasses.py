"""Which pools are the standard library's; that they work is in differential/cases/08_* and 18_*."""

from __future__ import annotations

import multiprocessing.pool
from typing import Any

import pytest

import millpond
from millpond._pool.calls import Calls
from millpond._pool.stdlib_pool import PARTS, is_stdlib, zygote_can_make

STDLIB = multiprocessing.pool.Pool


def test_each_name_is_ours_or_a_part() -> None:
    names = {name for name in vars(STDLIB) if not name.startswith("__")}
    assert names - PARTS <= vars(millpond.pool.Pool).keys() | vars(Calls).keys()
    assert "_setup_queues" in PARTS and "Process" in PARTS and "map" not in PARTS


def test_what_makes_a_subclass_the_standard_library_s() -> None:
    class Documented(millpond.pool.Pool):
        def map_async(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            """Documented methods may be overridden."""

        def _own(self) -> None:
            """So may names of one's own be defined."""

    class WithPart(Documented):
        def _handle_tasks(self) -> None:
            pass

    class Below(WithPart):
        pass

    kinds = (millpond.pool.Pool, Documented, WithPart, Below)
    assert [is_stdlib(kind) for kind in kinds] == [False, False, True, True]
    assert all(issubclass(kind, millpond.pool.Pool) for kind in kinds)
    assert not issubclass(STDLIB, millpond.pool.Pool)


class WithQueues(millpond.pool.Pool):
    def _setup_queues(self) -> None:
        super()._setup_queues()  # type: ignore[misc]


def test_what_only_millpond_s_pool_has_is_refused() -> None:
    with WithQueues(1) as pool:
        assert pool.apply(abs, (-1,)) == 1
        with pytest.raises(NotImplementedError, match="it has no stats"):
            pool.stats()
        with pytest.raises(NotImplementedError, match="it has no timeline"):
            pool.timeline()
    pool.join()

    class Constructed(millpond.get_context("fork").Process):  # type: ignore[misc]
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)

    class Context(millpond.context.ForkContext):
        Process = Constructed

    assert not zygote_can_make(Context())
    with pytest.raises(ValueError, match=r"trace: "):
        millpond.pool.Pool(1, context=Context(), trace=True)


@pytest.mark.parametrize("installed", [False, True])
def test_the_part_that_makes_processes_is_the_context_s(installed: bool) -> None:
    context: Any = multiprocessing.get_context("spawn")
    if installed:
        millpond.install()
    try:
        for pool in (millpond.pool.Pool, multiprocessing.pool.Pool, STDLIB):
            assert type(pool.Process(context)) is context.Process
    finally:
        millpond.uninstall()


def test_uninstall_gives_back_what_pickle_finds() -> None:
    from multiprocessing import queues

    queue = queues.Queue
    millpond.install()
    assert queue.__module__ == "millpond._install.stand_ins"
    millpond.uninstall()
    assert queues.Queue is queue
    assert queue.__module__ == "multiprocessing.queues"
