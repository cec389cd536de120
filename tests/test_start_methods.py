"""Locks and queues that are made for one start method, and passed to a process of another."""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest

import millpond

KINDS = [
    "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Queue",
    "JoinableQueue", "SimpleQueue",
]  # fmt: skip


@pytest.fixture
def installed() -> Iterator[None]:
    millpond.install()
    yield
    millpond.uninstall()


def nothing(*arguments: object) -> None:
    pass


def run(context: Any, *arguments: object) -> int | None:
    process = context.Process(target=nothing, args=arguments)
    process.start()
    process.join()
    code: int | None = process.exitcode
    process.close()
    return code


@pytest.mark.parametrize("kind", KINDS)
def test_of_multiprocessing_it_is_refused(installed: None, kind: str) -> None:
    """As in the standard library, so that nobody learns here what does not hold there."""
    forked = getattr(multiprocessing.get_context("fork"), kind)()
    with pytest.raises(RuntimeError, match="A SemLock created in a fork context"):
        run(multiprocessing.get_context("spawn"), forked)
    assert run(multiprocessing.get_context("fork"), forked) == 0


def test_of_multiprocessing_what_has_a_lock_is_refused(installed: None) -> None:
    context: Any = multiprocessing.get_context("fork")
    for guarded in (context.Value("i"), context.Array("i", 2), context.Barrier(2)):
        with pytest.raises(RuntimeError, match="A SemLock created in a fork context"):
            run(multiprocessing.get_context("spawn"), guarded)
    assert run(multiprocessing.get_context("spawn"), context.RawValue("i")) == 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_of_multiprocessing_others_go_everywhere(installed: None, method: str) -> None:
    own = multiprocessing.get_context(method)
    things = [getattr(own, kind)() for kind in KINDS]
    assert run(multiprocessing.get_context("fork"), *things) == 0
    assert run(own, *things) == 0


def pass_on(thing: object) -> None:
    assert run(multiprocessing.get_context("spawn"), thing) == 0


def test_of_multiprocessing_what_has_arrived_goes_on(installed: None) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=pass_on, args=(context.Lock(),))
    process.start()
    process.join()
    assert process.exitcode == 0
    process.close()


def test_of_millpond_all_go_everywhere() -> None:
    things = [getattr(millpond.get_context("fork"), kind)() for kind in KINDS]
    assert run(millpond.get_context("spawn"), *things) == 0


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "Condition", "Barrier"])
def test_signatures_are_the_classes_own(installed: None, kind: str) -> None:
    from multiprocessing import synchronize

    ours = getattr(millpond.synchronize, kind)
    assert inspect.signature(getattr(synchronize, kind)) == inspect.signature(ours)
