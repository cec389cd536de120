"""What is used while, and after, a process damages the memory that it lies in.

A class makes its object, brings it into a state in which there is something to damage, and has the
calls that each process makes. A call ends: with a result, or with an error that the class expects.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import millpond

SHORT = 0.03
SMALL, LARGE = b"small" * 5, b"large" * 20_000

Call = Callable[[], object]


class Kind:
    """A kind of object."""

    expected: ClassVar[tuple[type[Exception], ...]] = (
        OSError,
        ValueError,
        MemoryError,
        millpond.OwnerDied,
    )

    is_used_meanwhile: ClassVar[bool] = True

    def prepare(self) -> None:
        """Have something in the memory that can be damaged."""

    def calls(self, source: random.Random) -> Iterator[Call]:
        """What each process calls, one after the other."""
        raise NotImplementedError


class Lock(Kind):
    def __init__(self) -> None:
        self.lock: Any = millpond.Lock()

    def calls(self, source: random.Random) -> Iterator[Call]:
        for _ in range(2):
            yield lambda: self.lock.acquire(timeout=SHORT) and self.lock.release()
        yield lambda: self.lock.acquire(False) and self.lock.release()
        yield self.lock.locked


class RLock(Lock):
    # As the standard library's, whose owner another process may have overwritten.
    expected = (*Kind.expected, AssertionError)

    def __init__(self) -> None:
        self.lock = millpond.RLock()


class Semaphore(Kind):
    def __init__(self) -> None:
        self.semaphore = millpond.Semaphore(3)

    def prepare(self) -> None:
        self.semaphore.acquire()

    def calls(self, source: random.Random) -> Iterator[Call]:
        for _ in range(3):
            yield lambda: self.semaphore.acquire(timeout=SHORT)
        for _ in range(2):
            yield self.semaphore.release
        yield self.semaphore.get_value
        yield lambda: self.semaphore.acquire(False)


class BoundedSemaphore(Semaphore):
    def __init__(self) -> None:
        self.semaphore = millpond.BoundedSemaphore(3)


class Condition(Kind):
    expected = (*Kind.expected, AssertionError)
    # A wait acquires the lock again, without a limit: it would wait for whom the damage gave it to.
    is_used_meanwhile = False

    def __init__(self) -> None:
        self.condition = millpond.Condition()

    def calls(self, source: random.Random) -> Iterator[Call]:
        def with_lock(call: Call) -> Call:
            def locked() -> None:
                if self.condition.acquire(timeout=SHORT):
                    try:
                        call()
                    finally:
                        self.condition.release()

            return locked

        yield with_lock(lambda: self.condition.wait(SHORT))
        yield with_lock(lambda: self.condition.notify(2))
        yield with_lock(self.condition.notify_all)
        yield with_lock(lambda: self.condition.wait(SHORT))


class Event(Kind):
    def __init__(self) -> None:
        self.event = millpond.Event()

    def calls(self, source: random.Random) -> Iterator[Call]:
        yield lambda: self.event.wait(SHORT)
        yield self.event.set
        yield lambda: self.event.wait(SHORT)
        yield self.event.is_set
        yield self.event.clear


class Barrier(Kind):
    expected = (*Kind.expected, threading.BrokenBarrierError)

    def __init__(self) -> None:
        self.barrier = millpond.Barrier(2)

    def calls(self, source: random.Random) -> Iterator[Call]:
        yield lambda: self.barrier.wait(SHORT)
        yield self.barrier.reset
        yield lambda: self.barrier.wait(SHORT)
        yield lambda: (self.barrier.n_waiting, self.barrier.broken)
        yield self.barrier.abort


class Queue(Kind):
    # What arrives may be the bytes that were written, which are unpickled.
    expected = (Exception,)

    def __init__(self) -> None:
        self.queue: Any = millpond.Queue(20)

    def prepare(self) -> None:
        for _ in range(3):
            self.queue.put(SMALL)
        self.queue.put(LARGE)

    def calls(self, source: random.Random) -> Iterator[Call]:
        for item in (SMALL, LARGE):
            yield lambda item=item: self.queue.put(item, timeout=SHORT)  # type: ignore[misc]
        for _ in range(3):
            yield lambda: self.queue.get(timeout=SHORT)
        yield lambda: (self.queue.empty(), self.queue.full(), self.queue.qsize())
        yield lambda: self.queue.put_many([SMALL] * 3, timeout=SHORT)
        yield lambda: self.queue.get_many(5, timeout=SHORT)


class JoinableQueue(Queue):
    def __init__(self) -> None:
        self.queue = millpond.JoinableQueue(20)

    def calls(self, source: random.Random) -> Iterator[Call]:
        for call in super().calls(source):
            yield call
            yield self.queue.task_done


class Pipe(Kind):
    # As of a queue.
    expected = (Exception,)

    def __init__(self) -> None:
        self.here, self.there = millpond.Pipe()

    def prepare(self) -> None:
        for _ in range(3):
            self.here.send(SMALL)
            self.there.send(SMALL)
        self.here.send(LARGE)

    def calls(self, source: random.Random) -> Iterator[Call]:
        for end in (self.here, self.there):
            yield lambda end=end: end.send(SMALL)  # type: ignore[misc]
            yield lambda end=end: end.poll(SHORT) and end.recv()  # type: ignore[misc]
            yield lambda end=end: end.poll(SHORT) and end.recv()  # type: ignore[misc]


class Numbers(Kind):
    """`Value` and `Array`, with and without a lock.

    What they do themselves acquires their lock without a limit, and so is done by who holds it: it
    would wait for whom the damage gave the lock to.
    """

    expected = (*Kind.expected, AssertionError)

    def __init__(self) -> None:
        self.value: Any = millpond.Value("i", 7)
        self.array: Any = millpond.Array("d", 100)
        self.raw: Any = millpond.RawArray("B", 10_000)

    def calls(self, source: random.Random) -> Iterator[Call]:
        def with_lock(numbers: Any, *calls: Call) -> Call:
            def locked() -> None:
                if numbers.get_lock().acquire(timeout=SHORT):
                    for call in calls:
                        call()
                    numbers.get_lock().release()

            return locked

        yield with_lock(
            self.value,
            lambda: setattr(self.value, "value", self.value.value),
            lambda: self.value.add(1),
        )
        yield with_lock(self.array, lambda: self.array.add(5, 1.5), lambda: self.array[:])
        yield lambda: bytes(self.raw)


def makers() -> dict[str, Callable[[], Kind]]:
    """All kinds, by their names."""
    kinds: list[type[Kind]] = [
        Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event, Barrier, Queue, JoinableQueue,
        Pipe, Numbers,
    ]  # fmt: skip
    return {kind.__name__: kind for kind in kinds}
