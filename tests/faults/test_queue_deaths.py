"""SIGKILL of who puts, takes or waits: others go on, and no item is lost that was not taken."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from gate import until
from support.starting import Start, running
from workers import kill

import millpond
from millpond.context import BaseContext


def put_for_ever(queue: Any, item: Any) -> None:
    while True:
        queue.put(item)


def get_for_ever(queue: Any, count: Any) -> None:
    while True:
        queue.get()
        count.release()


@pytest.mark.parametrize("item", [7, b"large" * 20_000], ids=["small", "large"])
def test_a_producer(context: BaseContext, start: Start, item: Any) -> None:
    queue = context.Queue(50)
    for _ in range(5):
        process = start(put_for_ever, queue, item)
        assert queue.get() == item
        kill(process.pid)
    while not queue.empty():
        assert queue.get() == item
    queue.put("usable")
    assert queue.get() == "usable"


def test_a_consumer(context: BaseContext, start: Start) -> None:
    queue, count = context.Queue(), context.Semaphore(0)
    for _ in range(5):
        process = start(get_for_ever, queue, count)
        for _ in range(200):
            queue.put(b"x" * 1000)
        count.acquire()
        kill(process.pid)
    rest = 0
    while not queue.empty():
        queue.get()
        rest += 1
    # Each had at most one item that it had not told of.
    told = count.get_value() + 5
    assert 1000 - 5 <= rest + told <= 1000


def test_who_waits_for_an_item(context: BaseContext, start: Start) -> None:
    queue, count = context.Queue(), context.Semaphore(0)
    processes = [start(get_for_ever, queue, count) for _ in range(3)]
    queue.put_many(range(3))
    for _ in range(3):
        count.acquire()
    kill(processes[0].pid)
    kill(processes[1].pid)
    queue.put_many(range(10))
    for _ in range(10):
        count.acquire()


def take_and_stay(queue: Any, there: Any) -> None:
    queue.get_many(3)
    there.set()
    threading.Event().wait()


def test_tasks_of_the_dead_are_lost_and_reported_once(context: BaseContext, start: Start) -> None:
    queue, there = context.JoinableQueue(), context.Event()
    queue.put_many(range(4))
    process = start(take_and_stay, queue, there)
    there.wait()
    kill(process.pid)
    assert queue.get() == 3
    queue.task_done()
    with pytest.raises(millpond.TasksLost, match="3 items were taken by processes that") as lost:
        queue.join()
    assert lost.value.count == 3
    queue.join()


def test_an_item_of_a_process_that_died_after_put(context: BaseContext, start: Start) -> None:
    queue = context.SimpleQueue()
    process = start(put_and_die, queue)
    until(lambda: not queue.empty())
    process.join()
    assert (process.exitcode, queue.get()) == (-9, b"large" * 100_000)


def put_and_die(queue: Any) -> None:
    queue.put(b"large" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("wait", ["get", "get_many", "put", "join", "poll"])
def test_a_signal_handler_may_end_a_wait(wait: str) -> None:
    empty, full, joinable = millpond.Queue(), millpond.Queue(1), millpond.JoinableQueue()
    full.put(1)
    joinable.put(1)
    calls: dict[str, Callable[[], object]] = {
        "get": empty.get,
        "get_many": lambda: empty.get_many(5),
        "put": lambda: full.put(2),
        "join": joinable.join,
        "poll": lambda: empty._poll(None),
    }

    def handle(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handle)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(Interrupt), running(timer):
            calls[wait]()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (empty.qsize(), full.qsize()) == (0, 1)


def test_what_a_signal_handler_raises_says_how_many_items_were_put() -> None:
    def handle(*_: object) -> None:
        raise Interrupt

    def interrupt() -> None:
        until(lambda: queue.qsize() == 3)
        os.kill(os.getpid(), signal.SIGUSR1)

    queue = millpond.Queue(3)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(Interrupt) as raised, running(threading.Thread(target=interrupt)):
            queue.put_many(range(5))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (raised.value.put, queue.get_many(9)) == (3, [0, 1, 2])  # type: ignore[attr-defined]
