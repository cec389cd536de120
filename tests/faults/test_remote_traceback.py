"""The worker's traceback is shown in the caller's."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined]
from typing import Any

import pytest
from faulty_tasks import SilentError, outer_failure, raise_silently

from millpond.pool import Pool


@pytest.fixture
def pool(make_pool: Callable[..., Pool]) -> Pool:
    return make_pool(2)


CALLS: dict[str, Callable[[Pool], Any]] = {
    "apply": lambda pool: pool.apply(outer_failure),
    "get": lambda pool: pool.apply_async(outer_failure).get(),
    "map": lambda pool: pool.map(outer_failure, [1]),
    "imap": lambda pool: next(pool.imap(outer_failure, [1])),
    "imap in chunks": lambda pool: next(pool.imap(outer_failure, [1], chunksize=2)),
    "imap_unordered": lambda pool: next(pool.imap_unordered(outer_failure, [1])),
}


@pytest.mark.parametrize("call", CALLS)
def test_it_is_the_cause_of_the_exception(pool: Pool, call: str) -> None:
    with pytest.raises(ValueError, match="the pond is empty") as caught:
        CALLS[call](pool)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    remote = str(caught.value.__cause__)
    assert "in outer_failure" in remote
    assert "in inner_failure" in remote
    assert "LookupError: no such fish" in remote
    assert "direct cause" in remote


def test_it_is_printed_with_the_exception(pool: Pool) -> None:
    with pytest.raises(ValueError, match="empty") as caught:
        pool.apply(outer_failure)
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.index("in inner_failure") < shown.index("in test_it_is_printed")
    assert shown.rstrip().endswith("ValueError: the pond is empty")


def test_error_callback_sees_it(pool: Pool) -> None:
    failures: list[BaseException] = []
    pool.apply_async(outer_failure, error_callback=failures.append).wait()
    pool.close()
    pool.join()
    assert len(failures) == 1
    assert "in inner_failure" in str(failures[0].__cause__)


def test_it_names_an_exception_without_a_text(pool: Pool) -> None:
    with pytest.raises(SilentError) as caught:
        pool.apply(raise_silently)
    remote = str(caught.value.__cause__)
    assert "in raise_silently" in remote
    assert "SilentError: <exception str() failed>" in remote
