"""Programs with errors: a type checker has to find each of them.

An ignored error that is none is an error, for mypy as for Pyright.
"""

from __future__ import annotations

import ctypes
import threading

import millpond
import millpond.queues
from millpond.connection import Connection, wait
from millpond.sharedctypes import Synchronized


def names() -> None:
    _ = millpond.Frobnicator  # type: ignore[attr-defined]
    millpond.Lock().locked_by()  # type: ignore[attr-defined]


def primitives() -> None:
    millpond.Lock(True)  # type: ignore[call-arg]
    millpond.Lock().acquire("yes")  # type: ignore[arg-type]
    millpond.Lock().acquire(timeout="1")  # type: ignore[arg-type]
    millpond.Semaphore("many")  # type: ignore[arg-type]
    millpond.Condition(threading.Lock())  # type: ignore[arg-type]
    millpond.Condition().wait_for(True)  # type: ignore[arg-type]
    millpond.Event().wait("long")  # type: ignore[arg-type]
    millpond.Barrier()  # type: ignore[call-arg]
    millpond.Barrier(2, action="run")  # type: ignore[arg-type]
    million: str = millpond.Semaphore().get_value()  # type: ignore[assignment]
    print(million)


def queues(queue: millpond.queues.Queue[int]) -> None:
    queue.put("one")  # type: ignore[arg-type]
    queue.put_nowait(None)  # type: ignore[arg-type]
    queue.put_many(["one", "two"])  # type: ignore[list-item]
    queue.put_many(1)  # type: ignore[arg-type]
    text: str = queue.get()  # type: ignore[assignment]
    queue.get_many()  # type: ignore[call-arg]
    queue.task_done()  # type: ignore[attr-defined]
    millpond.Queue("10")  # type: ignore[arg-type]
    print(text)


def values(counter: Synchronized[int]) -> None:
    counter.value = "one"  # type: ignore[assignment]
    counter.add("one")  # type: ignore[arg-type]
    millpond.Value(ctypes.c_int).value = "one"  # type: ignore[assignment]
    millpond.Value("i").value.upper()  # type: ignore[attr-defined]
    millpond.Value(3)  # type: ignore[call-overload]
    millpond.Value("i", lock=3)  # type: ignore[call-overload]
    millpond.Array("i")  # type: ignore[call-overload]
    millpond.Array("i", 3)["first"]  # type: ignore[call-overload]
    millpond.Array("d", 3)[0].upper()  # type: ignore[attr-defined]


def connections(end: Connection[str, int]) -> None:
    end.send(1)  # type: ignore[arg-type]
    text: str = end.recv()  # type: ignore[assignment]
    end.send_bytes("text")  # type: ignore[arg-type]
    wait(["a"])  # type: ignore[list-item]
    print(text)


def contexts() -> None:
    millpond.get_context(1)  # type: ignore[call-overload]
    millpond.set_start_method(3)  # type: ignore[arg-type]
    millpond.install(True)  # type: ignore[call-arg]


def arrays() -> None:
    millpond.shared_array("3")  # type: ignore[arg-type]
    millpond.shared_array_from(lambda: 3)  # type: ignore[call-overload]
