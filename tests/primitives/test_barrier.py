"""`Barrier`: parties cross together, or none of them does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import BrokenBarrierError
from typing import Any

import pytest
from support.starting import Start

import millpond
from millpond.context import BaseContext


def cross(barrier: Any, times: int, firsts: Any) -> None:
    for _ in range(times):
        if barrier.wait() == 0:
            firsts.release()


def test_processes_cross_together(context: BaseContext, start: Start) -> None:
    barrier, firsts = context.Barrier(3), context.Semaphore(0)
    processes = [start(cross, barrier, 50, firsts) for _ in range(2)]
    cross(barrier, 50, firsts)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (firsts.get_value(), barrier.n_waiting, barrier.broken) == (50, 0, False)


def test_indices_and_action() -> None:
    done: list[int] = []
    barrier = millpond.Barrier(4, action=lambda: done.append(1))
    assert isinstance(barrier, threading.Barrier)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            indices = [threads.submit(barrier.wait) for _ in range(4)]
            assert sorted(index.result() for index in indices) == [0, 1, 2, 3]
    assert len(done) == 10
    assert barrier.parties == 4


def test_an_action_that_raises_breaks_it() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    barrier = millpond.Barrier(2, fail)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(barrier.wait) for _ in range(2)]
        errors = {type(call.exception()) for call in calls}
    assert errors == {BrokenBarrierError, ZeroDivisionError}
    assert barrier.broken


def test_a_timeout_breaks_it_until_it_is_reset() -> None:
    barrier = millpond.Barrier(2, timeout=0.01)
    for timeout in (None, 0.01, -1):
        with pytest.raises(BrokenBarrierError):
            barrier.wait(timeout)
        assert barrier.broken
        barrier.reset()
        assert not barrier.broken
    alone = millpond.Barrier(1)
    assert (alone.wait(), alone.wait(0)) == (0, 0)


@pytest.mark.parametrize("end", ["abort", "reset"])
def test_who_waits_learns_that_it_ended(context: BaseContext, start: Start, end: str) -> None:
    barrier, broken = context.Barrier(4), context.Semaphore(0)
    processes = [start(is_broken, barrier, broken) for _ in range(3)]
    while barrier.n_waiting < 3:
        threading.Event().wait(0.001)
    getattr(barrier, end)()
    for _ in processes:
        broken.acquire()
    assert barrier.broken is (end == "abort")
    if end == "abort":
        with pytest.raises(BrokenBarrierError):
            barrier.wait()


def is_broken(barrier: Any, broken: Any) -> None:
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    broken.release()


@pytest.mark.parametrize(
    ("parties", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        ("2", TypeError),
        (4091, OSError),
        (2**31, OverflowError),
    ],
)
def test_parties_that_make_no_sense(parties: Any, error: type) -> None:
    with pytest.raises(error):
        millpond.Barrier(parties)


def test_the_most_parties() -> None:
    assert millpond.Barrier(4090).parties == 4090
