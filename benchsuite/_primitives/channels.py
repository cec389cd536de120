"""Workloads of queues and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from _primitives.crew import median_time, together
from _primitives.library import Library

KILOBYTE = 1_000
LARGE = 4_000_000
# How many of them wait in a queue that has a limit; the bytes are those of faster-fifo's.
LARGE_ITEMS = 16
# The most items that one `put_many` or `get_many` moves.
TOGETHER = 1_000


def queue_ints(library: Library) -> dict[str, Any]:
    return _integers(library, library.queue(), pairs=1)


def queue_ints_2_to_2(library: Library) -> dict[str, Any]:
    return _integers(library, library.queue(), pairs=2)


def queue_many(library: Library) -> dict[str, Any]:
    """`put_many` and `get_many` where there are such, else `put` and `get`."""
    queue = library.queue()
    if not hasattr(queue, "put_many"):
        return _integers(library, queue, pairs=1)
    count = library.amount(200_000, 1_000_000)

    def put() -> None:
        for start in range(0, count, TOGETHER):
            queue.put_many(list(range(start, min(start + TOGETHER, count))))

    def get() -> tuple[float, int]:
        items: list[int] = []
        while len(items) < count:
            if library.is_faster_fifo:
                items += queue.get_many(max_messages_to_get=TOGETHER)
            else:
                items += queue.get_many(TOGETHER)
        return time.perf_counter(), sum(items)

    run = together(library, get, put)
    return _rate(count, run.results[:1], run.began)


def queue_kilobytes(library: Library) -> dict[str, Any]:
    return _bytes(library, library.queue(), KILOBYTE, library.amount(40_000, 300_000))


def queue_large(library: Library) -> dict[str, Any]:
    """With a limit, as for all that is large: the memory of an item is used again."""
    queue = library.queue(most=LARGE_ITEMS, large=True)
    return _bytes(library, queue, LARGE, library.amount(40, 300))


def queue_large_unlimited(library: Library) -> dict[str, Any]:
    """As fast as a producer that nothing stops can get new memory."""
    return _bytes(library, library.queue(large=True), LARGE, library.amount(40))


def joinable_ints(library: Library) -> dict[str, Any]:
    """Until `join` returns: each item was received, and its `task_done` called."""
    queue = library.queue("JoinableQueue")
    count = library.amount(40_000, 200_000)

    def put() -> float:
        for number in range(count):
            queue.put(number)
        queue.join()
        return time.perf_counter()

    def get() -> int:
        get, task_done = queue.get, queue.task_done
        total = 0
        for _ in range(count):
            total += get()
            task_done()
        return total

    run = together(library, put, get)
    return _rate(count, [run.results], run.began)


def queue_round_trip(library: Library) -> dict[str, Any]:
    there, back = library.queue(), library.queue()
    return _round_trip(library, (there.put, back.get), (there.get, back.put))


def simple_queue_round_trip(library: Library) -> dict[str, Any]:
    there, back = library.queue("SimpleQueue"), library.queue("SimpleQueue")
    return _round_trip(library, (there.put, back.get), (there.get, back.put))


def pipe_round_trip(library: Library) -> dict[str, Any]:
    one, other = library.make("Pipe")
    return _round_trip(library, (one.send, one.recv), (other.recv, other.send))


def pipe_ints(library: Library) -> dict[str, Any]:
    reader, writer = library.make("Pipe", False)
    count = library.amount(80_000, 500_000)

    def put() -> None:
        for number in range(count):
            writer.send(number)

    def get() -> tuple[float, int]:
        recv = reader.recv
        items = [recv() for _ in range(count)]
        return time.perf_counter(), sum(items)

    run = together(library, get, put)
    return _rate(count, run.results[:1], run.began)


def pipe_large_pickled(library: Library) -> dict[str, Any]:
    reader, writer = library.make("Pipe", False)
    return _large(library, LARGE, library.amount(50, 300), writer.send, reader.recv)


def pipe_large_bytes(library: Library) -> dict[str, Any]:
    reader, writer = library.make("Pipe", False)
    return _large(library, LARGE, library.amount(50, 300), writer.send_bytes, reader.recv_bytes)


# What they share.


def _integers(library: Library, queue: Any, pairs: int) -> dict[str, Any]:
    """Small integers from as many processes to as many others."""
    each = library.amount(50_000, 400_000) // pairs

    def put() -> None:
        put = queue.put
        for number in range(each):
            put(number)
        _flush(queue)

    def get() -> tuple[float, int]:
        get = queue.get
        items = [get() for _ in range(each)]
        # What follows the look at the clock is the check.
        return time.perf_counter(), sum(items)

    run = together(library, *[get] * pairs, *[put] * pairs)
    return _rate(each, run.results[:pairs], run.began)


def _rate(each: int, ends: list[Any], began: float) -> dict[str, Any]:
    """The rate of `each` numbers from 0 on, by what their receivers have seen: when, what sum."""
    expected = len(ends) * (each * (each - 1) // 2)
    received = sum(total for _, total in ends)
    if received != expected:
        raise SystemExit(f"items were lost or doubled: a sum of {received}, not {expected}")
    took = max(end for end, _ in ends) - began
    return {"value": len(ends) * each / took / 1e3, "unit": "k/s"}


def _bytes(library: Library, queue: Any, size: int, count: int) -> dict[str, Any]:
    def flush() -> None:
        _flush(queue)

    measured = _large(library, size, count, queue.put, queue.get, flush)
    if size == KILOBYTE:
        return {"value": measured["value"] * 1e9 / size / 1e3, "unit": "k/s"}
    return measured


def _flush(queue: Any) -> None:
    """Waits for the thread that sends what was put, where a library has one."""
    if hasattr(queue, "join_thread"):
        queue.close()
        queue.join_thread()


def _large(
    library: Library,
    size: int,
    count: int,
    put: Callable[[bytes], object],
    get: Callable[[], bytes],
    flush: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    def send() -> None:
        item = bytes(range(250)) * (size // 250)
        for _ in range(count):
            put(item)
        flush()

    def receive() -> tuple[float, int]:
        total = 0
        for _ in range(count):
            item = get()
            total += len(item) + item[-1]
        return time.perf_counter(), total

    run = together(library, receive, send)
    end, total = run.results[0]
    if total != count * (size + 249):
        raise SystemExit("bytes were lost or damaged")
    return {"value": count * size / (end - run.began) / 1e9, "unit": "GB/s"}


def _round_trip(
    library: Library,
    ours: tuple[Callable[[Any], object], Callable[[], Any]],
    theirs: tuple[Callable[[], Any], Callable[[Any], object]],
) -> dict[str, Any]:
    put, get = ours
    their_get, their_put = theirs

    def ping() -> None:
        put(1)
        get()

    def lead() -> dict[str, Any]:
        measured = median_time(library, ping)
        put(None)
        # The answer tells that a thread which sends for us has done so.
        get()
        return measured

    def follow() -> None:
        item = 0
        while item is not None:
            item = their_get()
            their_put(item)
        # Answers may still be with a thread of this process; its end must not cut them off.
        time.sleep(0.1)

    return dict(together(library, lead, follow).results[0])
