"""Handles in the arguments of tasks whose workers die before they have them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond
from millpond.pool import Pool

pytest.importorskip("numpy")


def memories() -> int:
    """Return how many memories for single objects this process has."""
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(fd).startswith("/memfd:millpond ")
        except FileNotFoundError:
            continue
    return found


def until_memories_are(expected: int) -> None:
    """Wait until a death has been dealt with."""
    while memories() != expected:
        # Who makes a large one lets go of those that have arrived.
        large()
        time.sleep(0.01)


def large() -> Any:
    return millpond.shared_array(100_000)


class Deadly:
    """Whoever unpickles it is killed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return die, ()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def total(arguments: Any) -> float:
    return sum(float(array.sum()) for array in arguments)


def nap(array: Any) -> None:
    time.sleep(3600)


def test_memory_is_not_kept_for_who_died_before_it_came(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(2)
    before = memories()
    with pytest.raises(millpond.WorkerCrashed):
        pool.apply(total, ((Deadly(), large()),))
    until_memories_are(before)
    with pytest.raises(millpond.WorkerCrashed):
        pool.map(total, [(large(), Deadly(), large()), (large(),)], chunksize=2)
    until_memories_are(before)
    # Those that arrive, even if nobody else has them any more.
    assert pool.map(total, [(large(),) for _ in range(20)], chunksize=3) == [0.0] * 20
    until_memories_are(before)


def test_memory_is_not_kept_for_tasks_that_never_began(make_pool: Callable[..., Pool]) -> None:
    before = memories()
    pool = make_pool(2)
    naps = pool.map_async(nap, [large() for _ in range(10)], chunksize=1)
    pool.terminate()
    pool.join()
    until_memories_are(before)
    del naps
