"""The rows of the report: which workload, beside which peers, with which target."""

from __future__ import annotations

from dataclasses import dataclass

from _primitives.library import BILLIARD, FASTER_FIFO, OURS, STDLIB

ALL = (STDLIB, FASTER_FIFO, BILLIARD, OURS)
# faster-fifo has queues alone.
WITH_LOCKS = (STDLIB, BILLIARD, OURS)


@dataclass(frozen=True)
class Row:
    """A workload as the report shows and judges it."""

    workload: str
    title: str
    least_ratio: float | None = None
    """The target: how many times better than the stdlib."""
    libraries: tuple[str, ...] = WITH_LOCKS
    busy: bool = False
    """Beside one endless loop for each core."""
    most: float | None = None
    """The target where a ratio says nothing."""

    @property
    def name(self) -> str:
        return f"{self.workload}_busy" if self.busy else self.workload


def _both(
    workload: str, title: str, free: float, busy: float, libraries: tuple[str, ...] = WITH_LOCKS
) -> tuple[Row, Row]:
    """A round trip, while a core is free and while none is."""
    return (
        Row(workload, f"{title} p50, a core free", free, libraries),
        Row(workload, f"{title} p50, none free", busy, libraries, busy=True),
    )


ROWS = (
    Row("lock", "Lock, acquire + release", 1),
    Row("rlock", "RLock, acquire + release", 1),
    Row("semaphore", "Semaphore, acquire + release", 1),
    Row("lock_contended", "Lock, 2 processes contending", 1),
    Row("value_locked", "Value += 1 under its lock", 1.2),
    Row("value_atomic", "Value.add(1) against += 1 under the lock", 15),
    *_both("event", "Event, round trip", 20, 3),
    *_both("condition", "Condition, round trip", 20, 3),
    *_both("barrier", "Barrier(2), crossing", 20, 3),
    Row("queue_ints", "Queue, small ints, 1 to 1", 10, ALL),
    Row("queue_ints_2_to_2", "Queue, small ints, 2 to 2", 10, ALL),
    Row("queue_many", "Queue, put_many + get_many, small ints", 30, ALL),
    Row("queue_kilobytes", "Queue, 1 KB of bytes", 10, ALL),
    Row("queue_large", "Queue(16), 4 MB of bytes", 13, ALL),
    Row("queue_large_unlimited", "Queue(), 40 times 4 MB of bytes", 1, ALL),
    *_both("queue_round_trip", "Queue, round trip", 20, 1.8, ALL),
    *_both("simple_queue_round_trip", "SimpleQueue, round trip", 20, 1.8),
    Row("joinable_ints", "JoinableQueue, small ints", 8),
    *_both("pipe_round_trip", "Pipe, round trip", 10, 1),
    Row("pipe_ints", "Pipe, small ints, one way", 6),
    Row("pipe_large_pickled", "Pipe, 4 MB pickled", 8),
    Row("pipe_large_bytes", "Pipe, 4 MB with send_bytes", 8),
    # One hundredth of a core for each of the four.
    Row("idle", "CPU time of 4 waits of 1 s", most=40),
)
