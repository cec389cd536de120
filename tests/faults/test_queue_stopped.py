"""A process that is stopped (SIGSTOP) inside a queue: who will not wait for ever need not."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gate import until
from support.starting import running, starting

import millpond

CHUNK = [b"x" * 30_000] * 200


def put_and_get_for_ever(queue: Any) -> None:
    """Spend most of the time inside, where the items are copied."""
    while True:
        queue.put_many(CHUNK)
        while not queue.empty():
            queue.get_many(len(CHUNK))


def cannot_put(channel: Any) -> bool:
    try:
        channel.put_nowait(b"")
    except queue.Full:
        return True
    return False


def cannot_get(channel: Any) -> bool:
    try:
        channel.get_nowait()
    except queue.Empty:
        return channel.qsize() > 0  # type: ignore[no-any-return]
    return False


@contextmanager
def stopped(is_stuck: Callable[[Any], bool], kind: str = "Queue") -> Iterator[Any]:
    """A queue without a bound in which a process is stopped; it goes on afterwards."""
    context = millpond.get_context("fork")
    channel = getattr(context, kind)()
    with starting(context) as start:
        pid = start(put_and_get_for_ever, channel).pid
        assert pid is not None
        until(lambda: channel.qsize() > 0)
        while True:
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
            if is_stuck(channel):
                break
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.003)
        yield channel
        os.kill(pid, signal.SIGCONT)
        until(lambda: not is_stuck(channel))


def test_others_do_not_put() -> None:
    with stopped(cannot_put) as channel:
        with pytest.raises(queue.Full):
            channel.put(1, timeout=0.01)
        with pytest.raises(queue.Full) as raised:
            channel.put_many([1, 2, 3], timeout=0.3)
        assert raised.value.put == 0  # type: ignore[attr-defined]


def test_others_do_not_get() -> None:
    with stopped(cannot_get) as channel:
        with pytest.raises(queue.Empty):
            channel.get(timeout=0.01)
        with pytest.raises(queue.Empty):
            channel.get_many(3, timeout=0.3)


class Interrupt(Exception):
    pass


@contextmanager
def interrupted_soon() -> Iterator[None]:
    """Have a thread raise an exception in the main one, by a signal."""

    def handle(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handle)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(Interrupt), running(timer):
            yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_ends_the_wait_of_who_puts() -> None:
    with stopped(cannot_put) as channel, interrupted_soon():
        channel.put(1)


def test_a_signal_handler_ends_the_wait_of_who_gets() -> None:
    with stopped(cannot_get) as channel, interrupted_soon():
        channel.get()


def test_a_signal_handler_ends_the_wait_of_who_has_done_a_task() -> None:
    with stopped(cannot_get, "JoinableQueue") as channel, interrupted_soon():
        channel.task_done()


def test_it_goes_on() -> None:
    with stopped(cannot_put) as channel:
        putting = threading.Thread(target=channel.put, args=("late",))
        putting.start()
    putting.join()
