"""What waiting costs when nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from _primitives.crew import together
from _primitives.library import Library


def idle(library: Library) -> dict[str, Any]:
    """Four processes wait for a second, each for something else; their CPU time."""
    second = 1.0
    queue, lock, event = library.queue(), library.make("Lock"), library.make("Event")
    reader, writer = library.make("Pipe", False)
    lock.acquire()

    def cpu_of(wait: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            before = time.process_time()
            wait()
            return (time.process_time() - before) * 1e3

        return measure

    def wake() -> None:
        time.sleep(second)
        queue.put(1)
        event.set()
        writer.send(1)
        # The thread that sends for a queue of the stdlib.
        time.sleep(0.1)

    waits = {
        "Queue.get": queue.get,
        "Lock.acquire": lambda: lock.acquire(timeout=second),
        "Event.wait": event.wait,
        "Connection.recv": reader.recv,
    }
    run = together(library, *(cpu_of(wait) for wait in waits.values()), wake)
    used = dict(zip(waits, run.results, strict=False))
    return {"value": sum(used.values()), "unit": "ms", "each": used}
