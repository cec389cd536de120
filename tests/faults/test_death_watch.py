"""Waits notice deaths, by a thread that is gone before a fork."""

from __future__ import annotations

import os
import platform
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gate import until
from support.starting import Start, starting
from workers import kill

import millpond
from millpond.context import BaseContext

SEVERAL_WORDS = "449 "
"""The number of futex_waitv, which a wait uses that would be ended by a death."""

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in platform.release().split(".")[:2]) < (5, 16),
    reason="the kernel cannot wait for several words",
)


@pytest.fixture
def start(context: BaseContext) -> Iterator[Start]:
    with starting(context) as start_one:
        yield start_one


def watches(pid: int | None) -> bool:
    """Whether the first thread of a process sleeps so that a death would end it."""
    return Path(f"/proc/{pid}/syscall").read_text().startswith(SEVERAL_WORDS)


def hold(kind: str, shared: Any, there: Any) -> None:
    if kind == "Barrier":
        threading.Thread(target=shared.wait, daemon=True).start()
        until(lambda: shared.n_waiting == 1)
    elif kind == "JoinableQueue":
        shared.get()
    else:
        shared.acquire()
    there.set()
    threading.Event().wait()


def wait(kind: str, shared: Any, ends: Any) -> None:
    try:
        if kind == "Barrier":
            shared.wait()
        elif kind == "JoinableQueue":
            shared.join()
        else:
            shared.acquire()
    except (millpond.OwnerDied, millpond.TasksLost, threading.BrokenBarrierError) as error:
        ends.put(type(error).__name__)
    else:
        ends.put("acquired")


@pytest.mark.parametrize(
    ("kind", "arguments", "end"),
    [
        ("Lock", (), "OwnerDied"),
        ("RLock", (), "OwnerDied"),
        ("Semaphore", (1,), "acquired"),
        ("Barrier", (3,), "BrokenBarrierError"),
        ("JoinableQueue", (), "TasksLost"),
    ],
)
def test_a_death_ends_a_sleep(
    context: BaseContext, start: Start, kind: str, arguments: tuple[int, ...], end: str
) -> None:
    shared, there, ends = getattr(context, kind)(*arguments), context.Event(), context.Queue()
    if kind == "JoinableQueue":
        shared.put(1)
    holder = start(hold, kind, shared, there)
    there.wait()
    waiter = start(wait, kind, shared, ends)
    until(lambda: watches(waiter.pid))
    kill(holder.pid)
    assert ends.get() == end
    waiter.join()


def wait_and_fork(lock: Any, threads: Any) -> None:
    with pytest.raises(millpond.OwnerDied):
        lock.acquire()
    with warnings.catch_warnings():
        # CPython 3.12 and later warn where a process that forks has a second thread.
        warnings.simplefilter("error")
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    threads.put(len(os.listdir("/proc/self/task")))


def test_a_program_with_one_thread_forks_with_one(context: BaseContext, start: Start) -> None:
    lock, there, threads = context.Lock(), context.Event(), context.SimpleQueue()
    holder = start(hold, "Lock", lock, there)
    there.wait()
    waiter = start(wait_and_fork, lock, threads)
    until(lambda: watches(waiter.pid))
    kill(holder.pid)
    assert threads.get() == 1


def test_a_signal_is_answered_by_who_would_hear_of_a_death(
    context: BaseContext, start: Start
) -> None:
    lock, ends = context.Lock(), context.Queue()
    lock.acquire()
    waiter = start(interrupted, lock, ends)
    until(lambda: watches(waiter.pid))
    assert waiter.pid is not None
    os.kill(waiter.pid, 2)
    assert ends.get() == "KeyboardInterrupt"


def interrupted(lock: Any, ends: Any) -> None:
    try:
        lock.acquire()
    except KeyboardInterrupt:
        ends.put("KeyboardInterrupt")


def own_descriptors() -> list[str]:
    """What the descriptors of this process lead to by which it would notice deaths."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if "pidfd" in file or "eventfd" in file:
            found.append(file)
    return found


def fork_while_threads_wait(lock: Any, inherited: Any) -> None:
    threads = [threading.Thread(target=lock.acquire, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    counts = []
    for _ in range(20):
        # The last fork has ended what it found; by now some of them hear again.
        until(lambda: any("pidfd" in file for file in own_descriptors()))
        child = os.fork()
        if child == 0:
            os._exit(len(own_descriptors()))
        counts.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    inherited.put(counts)


def test_a_fork_while_threads_wait_inherits_no_descriptor() -> None:
    context = millpond.get_context("spawn")
    lock, there, inherited = context.Lock(), context.Event(), context.SimpleQueue()
    with starting(context) as start:
        start(hold, "Lock", lock, there)
        there.wait()
        start(fork_while_threads_wait, lock, inherited)
        assert inherited.get() == [0] * 20


def close_what_is_not_known(lock: Any, ends: Any) -> None:
    threading.Thread(target=lock.acquire, args=(True, 60), daemon=True).start()
    until(lambda: any("pidfd" in file for file in own_descriptors()))
    before = {int(number) for number in os.listdir("/proc/self/fd")}
    for number in before:
        try:
            if any(kind in os.readlink(f"/proc/self/fd/{number}") for kind in ("pidfd", "event")):
                os.close(number)
        except OSError:
            continue
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    # The watch of this process notices, and ends; the next wait begins another.
    assert not lock.acquire(timeout=2.5)
    # A fork ends that, too.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    ends.put([os.readlink(f"/proc/self/fd/{number}") for number in opened])


def test_a_program_that_closes_what_it_does_not_know_loses_nothing_else() -> None:
    context = millpond.get_context("spawn")
    lock, there, ends = context.Lock(), context.Event(), context.SimpleQueue()
    with starting(context) as start:
        start(hold, "Lock", lock, there)
        there.wait()
        start(close_what_is_not_known, lock, ends)
        assert ends.get() == ["/dev/null"] * 20
