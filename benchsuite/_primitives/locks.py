"""Workloads of locks, of what is built on them, and of shared values."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

from _primitives.crew import SharedInteger, median_time, together
from _primitives.library import Absent, Library

# Between two looks at the clock.
BATCH = 100


def lock(library: Library) -> dict[str, Any]:
    return _pairs(library, library.make("Lock"))


def rlock(library: Library) -> dict[str, Any]:
    return _pairs(library, library.make("RLock"))


def semaphore(library: Library) -> dict[str, Any]:
    return _pairs(library, library.make("Semaphore"))


def lock_contended(library: Library) -> dict[str, Any]:
    """Two processes take and give back one lock as fast as they can."""
    contended = library.make("Lock")

    def take() -> int:
        acquire, release = contended.acquire, contended.release
        pairs = 0
        end = time.perf_counter() + library.seconds
        while time.perf_counter() < end:
            for _ in repeat(None, BATCH):
                acquire()
                release()
            pairs += BATCH
        return pairs

    pairs = together(library, take, take).results
    share = min(pairs) / sum(pairs)
    return {"value": sum(pairs) / library.seconds / 1e6, "unit": "M pairs/s", "share": share}


def value_locked(library: Library) -> dict[str, Any]:
    """`value.value += 1` under the value's lock, in two processes."""
    value = library.make("Value", ctypes.c_int64, 0)

    def add(times: int) -> None:
        for _ in repeat(None, times):
            with value.get_lock():
                value.value += 1

    return _additions(library, lambda: add(BATCH), lambda: int(value.value))


def value_atomic(library: Library) -> dict[str, Any]:
    """Our `Value.add` against what the peers have for the same: adding under the lock."""
    if not library.is_ours:
        return value_locked(library)
    value = library.make("Value", ctypes.c_int64, 0)
    if not hasattr(value, "add"):
        raise Absent("millpond's Value has no `add` in this build")

    def add(times: int) -> None:
        plus = value.add
        for _ in repeat(None, times):
            plus(1)

    return _additions(library, lambda: add(BATCH), lambda: int(value.value))


def event(library: Library) -> dict[str, Any]:
    """Each of two processes waits for its event, clears it, and sets that of the other."""
    there, back = library.make("Event"), library.make("Event")
    stop = SharedInteger()

    def ping() -> None:
        there.set()
        back.wait()
        back.clear()

    def lead() -> dict[str, Any]:
        measured = median_time(library, ping)
        stop.set(1)
        there.set()
        return measured

    def follow() -> None:
        while True:
            there.wait()
            if stop.get():
                return
            there.clear()
            back.set()

    return _measured(together(library, lead, follow).results)


def condition(library: Library) -> dict[str, Any]:
    """Two processes pass a turn to each other, and wait on one condition for their own."""
    turns = library.make("Condition")
    turn = SharedInteger()
    ours, theirs, over = 0, 1, 2

    def pass_on(next_turn: int, mine: int) -> None:
        with turns:
            turn.set(next_turn)
            turns.notify()
            while turn.get() not in (mine, over):
                turns.wait()

    def lead() -> dict[str, Any]:
        measured = median_time(library, lambda: pass_on(theirs, ours))
        with turns:
            turn.set(over)
            turns.notify()
        return measured

    def follow() -> None:
        with turns:
            while turn.get() == ours:
                turns.wait()
        while turn.get() != over:
            pass_on(ours, theirs)

    return _measured(together(library, lead, follow).results)


def barrier(library: Library) -> dict[str, Any]:
    """Two processes meet at a barrier, again and again."""
    meeting = library.make("Barrier", 2)
    # The number of the last crossing; none has it before it is known.
    last = SharedInteger()
    crossed = 0

    def cross() -> None:
        nonlocal crossed
        crossed += 1
        meeting.wait()

    def lead() -> dict[str, Any]:
        measured = median_time(library, cross)
        last.set(crossed + 1)
        cross()
        return measured

    def follow() -> None:
        while last.get() == 0 or crossed < last.get():
            cross()

    return _measured(together(library, lead, follow).results)


# What they share.


def _pairs(library: Library, primitive: Any) -> dict[str, Any]:
    """Acquire and release, by nobody else."""
    import statistics

    acquire, release = primitive.acquire, primitive.release
    times = 20_000
    took = []
    end = time.perf_counter() + library.seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        for _ in repeat(None, times):
            acquire()
            release()
        took.append(time.perf_counter() - began)
    return {"value": statistics.median(took) / times * 1e9, "unit": "ns"}


def _additions(
    library: Library, add_batch: Callable[[], None], total: Callable[[], int]
) -> dict[str, Any]:
    """Two processes add to one number; not one addition may be lost."""

    def add() -> int:
        added = 0
        end = time.perf_counter() + library.seconds
        while time.perf_counter() < end:
            add_batch()
            added += BATCH
        return added

    added = together(library, add, add).results
    if total() != sum(added):
        raise SystemExit(f"{sum(added)} additions came to {total()}")
    return {"value": sum(added) / library.seconds / 1e6, "unit": "M/s"}


def _measured(results: list[Any]) -> dict[str, Any]:
    """What the first process of a crew, the one that looks at the clock, has returned."""
    return dict(results[0])
