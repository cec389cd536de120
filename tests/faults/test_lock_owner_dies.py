"""SIGKILL of whoever holds a lock or a permit, waits for something, or has arrived at a barrier."""

from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gate import until
from support.starting import Start, running
from workers import kill

import millpond
from millpond.context import BaseContext


def acquire_and_stay(lock: Any, there: Any, times: int = 1) -> None:
    for _ in range(times):
        lock.acquire()
    there.set()
    threading.Event().wait()


def killed_holding(context: BaseContext, start: Start, lock: Any, times: int = 1) -> int:
    """The pid of a process that was killed while it held the lock."""
    there = context.Event()
    process = start(acquire_and_stay, lock, there, times)
    there.wait()
    kill(process.pid)
    assert process.pid is not None
    return process.pid


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.parametrize("ask", [(), (True, 30), (False,)])
def test_the_next_owner_learns_of_it_once(
    context: BaseContext, start: Start, kind: str, ask: tuple[Any, ...]
) -> None:
    lock = getattr(context, kind)()
    pid = killed_holding(context, start, lock, 3 if kind == "RLock" else 1)
    with pytest.raises(millpond.OwnerDied, match=f"process {pid} was killed by SIGKILL") as told:
        lock.acquire(*ask)
    assert (told.value.pid, told.value.exitcode, told.value.held) == (pid, -9, False)
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)
    assert "None" in repr(lock)
    with lock:
        assert lock.acquire(False) is (kind == "RLock")


def test_who_waits_already_learns_of_it(context: BaseContext, start: Start) -> None:
    lock, there = context.Lock(), context.Event()
    process = start(acquire_and_stay, lock, there)
    there.wait()
    outcomes: list[Any] = []

    def wait() -> None:
        try:
            with lock:
                outcomes.append("entered")
        except millpond.OwnerDied as error:
            outcomes.append(error.pid)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    kill(process.pid)
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [process.pid, "entered", "entered"]


def test_the_exit_code_is_known_after_a_join(context: BaseContext, start: Start) -> None:
    lock = context.Lock()
    process = start(acquire_and_exit, lock)
    process.join()
    with pytest.raises(millpond.OwnerDied, match="exited with code 7") as told, lock:
        pass
    assert told.value.exitcode == 7


def acquire_and_exit(lock: Any) -> None:
    lock.acquire()
    os._exit(7)


def test_a_worker_of_a_pool(make_pool: Callable[..., Any], context: BaseContext) -> None:
    lock = context.Lock()
    pool = make_pool(1)
    pid = pool.apply(os.getpid)
    with pytest.raises(millpond.WorkerCrashed):
        pool.apply(acquire_and_exit, (lock,))
    with pytest.raises(millpond.OwnerDied) as told:
        lock.acquire()
    assert told.value.pid == pid
    assert lock.acquire(False)


def test_a_stranger_s_exit_code_is_not_known(context: BaseContext, start: Start) -> None:
    lock, pid = context.Lock(), context.Value("i", 0)
    start(parent_of_owner, lock, pid).join()
    with pytest.raises(millpond.OwnerDied, match=r"process \d+ died while it held") as told:
        lock.acquire()
    assert (told.value.pid, told.value.exitcode) == (pid.value, None)


def parent_of_owner(lock: Any, pid: Any) -> None:
    # A plain fork: no object of this process stands for the child.
    child = os.fork()
    if child == 0:
        acquire_and_exit(lock)
    os.waitpid(child, 0)
    pid.value = child


def test_permits_come_back(context: BaseContext, start: Start) -> None:
    semaphore = context.BoundedSemaphore(3)
    killed_holding(context, start, semaphore, 3)
    assert all(semaphore.acquire() for _ in range(3))
    assert semaphore.acquire(False) is False


def test_permits_of_three_hundred_holders_come_back() -> None:
    semaphore, held = millpond.Semaphore(300), millpond.Semaphore(0)
    holders = []
    for _ in range(300):
        pid = os.fork()
        if pid == 0:
            try:
                semaphore.acquire()
                held.release()
                signal.pause()
            finally:
                os._exit(1)
        holders.append(pid)
    assert all(held.acquire() for _ in range(300))
    assert semaphore.get_value() == 0
    for pid in holders:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert all(semaphore.acquire() for _ in range(300))
    assert semaphore.acquire(False) is False


def test_beyond_the_most_holders_there_is_an_error() -> None:
    total, places = 1_234_567, 2044
    semaphore = millpond.Semaphore(total)
    with semaphore, mmap.mmap(semaphore._fd(), 0) as memory:
        # As if other processes held a permit by each place of the table, all under this one's name:
        # `semaphore.rs` has the layout.
        start = memory.find(struct.pack("<III", 0, total, 0)) - 28
        name = memory[start + 8 : start + 16]
        memory[start + 48 : start + 52] = places.to_bytes(4, "little")
        memory[start + 56 : start + 56 + 16 * places] = (name + b"\1" + bytes(7)) * places
        assert semaphore.get_value() == total - places - 1
        pid = os.fork()
        if pid == 0:
            try:
                calls: list[tuple[Any, ...]] = [(), (False,), (True, 1)]
                for arguments in calls:
                    with pytest.raises(OSError, match="2045 processes hold permits") as refused:
                        semaphore.acquire(*arguments)
                    assert refused.value.errno == errno.EDQUOT
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert semaphore.acquire()
        semaphore.release()


def wait_on(condition: Any) -> None:
    with condition:
        condition.wait()


def test_notifying_the_dead(context: BaseContext, start: Start) -> None:
    condition = context.Condition()
    doomed = [start(wait_on, condition) for _ in range(2)]
    until(lambda: condition._sleeping_count.get_value() == 2)
    living = start(wait_on, condition)
    until(lambda: condition._sleeping_count.get_value() == 3)
    for process in doomed:
        kill(process.pid)
    with condition:
        # The dead have waited longest; the notification goes on to who can use it.
        condition.notify()
    living.join()
    with condition:
        condition.notify_all()
        assert condition.wait(0.01) is False


def test_who_waits_on_a_condition_has_its_lock_again(context: BaseContext, start: Start) -> None:
    condition = context.Condition(context.Lock())
    process = start(notify_and_die, condition)
    with pytest.raises(millpond.OwnerDied, match="now held by the caller") as told, condition:
        condition.wait()
    assert (told.value.pid, told.value.held) == (process.pid, True)
    assert condition.acquire(False)


def notify_and_die(condition: Any) -> None:
    until(lambda: condition._sleeping_count.get_value() == 1)
    with condition:
        condition.notify()
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_event_whose_waiter_died(context: BaseContext, start: Start) -> None:
    event, there = context.Event(), context.Semaphore(0)
    processes = [start(wait_for_event, event, there) for _ in range(3)]
    for _ in processes:
        there.acquire()
    kill(processes[0].pid)
    event.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [-9, 0, 0]


def wait_for_event(event: Any, there: Any) -> None:
    there.release()
    event.wait()


def test_a_barrier_breaks_when_a_party_dies(context: BaseContext, start: Start) -> None:
    barrier = context.Barrier(3)
    doomed = start(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    kill(doomed.pid)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    assert barrier.broken
    barrier.reset()
    others = [start(barrier.wait) for _ in range(2)]
    assert barrier.wait() in range(3)
    for process in others:
        process.join()


def test_a_forked_child_does_not_own_its_parent_s_lock() -> None:
    lock, again = millpond.Lock(), millpond.RLock()
    lock.acquire()
    again.acquire()
    process = multiprocessing.get_context("fork").Process(target=owns_nothing, args=(lock, again))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert lock._semlock._is_mine() and again._semlock._is_mine()


def test_nor_does_a_child_that_was_just_forked() -> None:
    lock, again = millpond.Lock(), millpond.RLock()
    lock.acquire()
    again.acquire()
    child = os.fork()
    if child == 0:
        try:
            owns_nothing(lock, again)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lock._semlock._is_mine() and again._semlock._is_mine()


def owns_nothing(lock: Any, again: Any) -> None:
    assert not lock._semlock._is_mine()
    assert again.acquire(False) is False
    with pytest.raises(AssertionError):
        again.release()


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("wait", ["lock", "semaphore", "condition", "event", "barrier"])
def test_a_signal_handler_runs_during_a_wait_and_may_end_it(wait: str) -> None:
    lock, condition, barrier = millpond.Lock(), millpond.Condition(), millpond.Barrier(2)
    lock.acquire()
    condition.acquire()
    calls: dict[str, Callable[[], object]] = {
        "lock": lock.acquire,
        "semaphore": millpond.Semaphore(0).acquire,
        "condition": condition.wait,
        "event": millpond.Event().wait,
        "barrier": barrier.wait,
    }
    handled: list[int] = []

    def handle(*_: object) -> None:
        handled.append(1)
        if len(handled) == 2:
            raise Interrupt

    before = signal.signal(signal.SIGUSR1, handle)

    def interrupt_twice() -> None:
        # Two that are pending at once would be one.
        for _ in range(2):
            interrupt(handled)

    try:
        with pytest.raises(Interrupt), running(threading.Timer(0.1, interrupt_twice)):
            calls[wait]()
        assert condition._lock._semlock._is_mine()
        # Whoever else waits there learns that one has left.
        assert barrier.broken is (wait == "barrier")
    finally:
        signal.signal(signal.SIGUSR1, before)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Have SIGUSR1 raise an exception in the main thread; the signals that were handled."""
    handled: list[int] = []

    def handle(number: int, _: object) -> None:
        handled.append(number)
        raise Interrupt(len(handled))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        yield handled
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt(handled: list[int]) -> None:
    count = len(handled)
    os.kill(os.getpid(), signal.SIGUSR1)
    until(lambda: len(handled) > count)


@pytest.mark.parametrize("module", [millpond, multiprocessing], ids=["own", "stdlib"])
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_who_is_interrupted_when_notified_has_the_lock_again(module: Any, kind: str) -> None:
    condition = millpond.Condition(getattr(module, kind)())
    left = threading.Event()

    def notify() -> None:
        until(lambda: condition._sleeping_count.get_value() == 1)
        with condition:
            condition.notify()
            until(lambda: condition._woken_count.get_value() == 0)
            # It wants the lock now, which it does not get before it was interrupted twice.
            interrupt(handled)
            interrupt(handled)
            assert not left.is_set()

    with interrupts() as handled:
        thread = threading.Thread(target=notify)
        thread.start()
        with condition:
            with pytest.raises(Interrupt) as told:
                condition.wait()
            left.set()
            assert condition._lock._semlock._is_mine()
        assert told.value.args == (1,)
        thread.join()
    assert condition.acquire(False)


def test_a_notification_of_one_that_is_interrupted_goes_to_another() -> None:
    condition = millpond.Condition(millpond.Lock())

    def sleepers(count: int) -> None:
        until(lambda: condition._sleeping_count.get_value() == count)

    def notify_and_interrupt() -> None:
        sleepers(1)
        second.start()
        sleepers(2)
        with condition:
            condition.notify()
            until(lambda: condition._woken_count.get_value() == 0)
            # The first one wants the lock now.
            interrupt(handled)

    def wait() -> None:
        with condition:
            assert condition.wait()

    second = threading.Thread(target=wait)
    with interrupts() as handled:
        thread = threading.Thread(target=notify_and_interrupt)
        thread.start()
        with condition, pytest.raises(Interrupt):
            condition.wait()
        thread.join()
    second.join()
    assert condition._sleeping_count.get_value() == 0


def test_an_interrupt_is_not_lost_over_a_death(context: BaseContext, start: Start) -> None:
    condition, there = context.Condition(context.Lock()), context.Event()

    def interrupt_and_kill() -> None:
        until(lambda: condition._sleeping_count.get_value() == 1)
        process = start(acquire_and_stay, condition, there)
        there.wait()
        interrupt(handled)
        kill(process.pid)

    with interrupts() as handled:
        thread = threading.Thread(target=interrupt_and_kill)
        thread.start()
        with condition:
            with pytest.raises(Interrupt) as told:
                condition.wait()
            assert condition._lock._semlock._is_mine()
        thread.join()
    assert isinstance(told.value.__context__, millpond.OwnerDied)
    assert told.value.__context__.held
    assert condition.acquire(False)
