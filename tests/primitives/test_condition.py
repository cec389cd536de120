"""`Condition`: who is notified, what lock is held meanwhile, and what may be its lock."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.starting import Start

import millpond
from millpond.context import BaseContext


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.001)


def waiting(condition: Any) -> int:
    count: int = condition._sleeping_count.get_value() - condition._woken_count.get_value()
    return count


def wait_and_tell(condition: Any, told: Any) -> None:
    with condition:
        assert condition.wait() is True
        told.release()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_so_many_are_notified(context: BaseContext, start: Start, kind: str) -> None:
    condition, told = context.Condition(getattr(context, kind)()), context.Semaphore(0)
    processes = [start(wait_and_tell, condition, told) for _ in range(3)]
    threads = [threading.Thread(target=wait_and_tell, args=(condition, told)) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: waiting(condition) == 5)
    assert repr(condition).endswith(", 5)>")
    with condition:
        condition.notify()
    told.acquire()
    with condition:
        condition.notify(2)
    for _ in range(2):
        told.acquire()
    assert (told.acquire(False), waiting(condition)) == (False, 2)
    with condition:
        condition.notify_all()
    for process in processes:
        process.join()
    for thread in threads:
        thread.join()
    assert (told.get_value(), waiting(condition)) == (2, 0)


def test_a_wait_ends_in_time_and_holds_the_lock_again() -> None:
    condition = millpond.Condition()
    with condition, condition:
        assert condition.wait(0.01) is False
        assert condition.wait(-1) is False
        assert condition._lock._semlock._count() == 2
    assert waiting(condition) == 0


def test_the_lock_must_be_held() -> None:
    condition = millpond.Condition()
    for call in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(AssertionError):
            call()
    with pytest.raises(AssertionError):
        condition.release()
    with condition, pytest.raises(TypeError):
        condition.wait("soon")  # type: ignore[arg-type]
    with condition, pytest.raises(TypeError):
        condition.notify("all")  # type: ignore[arg-type]
    assert waiting(condition) == 0


@pytest.mark.parametrize("lock", [threading.Lock(), threading.RLock(), "a lock", 5])
def test_a_lock_that_processes_cannot_share_is_refused(lock: Any) -> None:
    with pytest.raises(TypeError, match="a Condition needs a Lock or RLock that processes"):
        millpond.Condition(lock)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_of_the_standard_library(kind: str) -> None:
    lock: Any = getattr(multiprocessing, kind)()
    condition, told = millpond.Condition(lock), millpond.Semaphore(0)
    thread = threading.Thread(target=wait_and_tell, args=(condition, told))
    thread.start()
    until(lambda: waiting(condition) == 1)
    with condition:
        assert lock._semlock._is_mine()
        condition.notify()
    thread.join()
    assert told.acquire(False)


def count_up(condition: Any, value: Any, to: int, step: int) -> None:
    for n in range(step, to, 2):
        with condition:
            assert condition.wait_for(lambda n=n: value.get_value() == n)
            value.release()
            condition.notify_all()


def test_wait_for(context: BaseContext, start: Start) -> None:
    condition, value = context.Condition(), context.Semaphore(0)
    process = start(count_up, condition, value, 100, 1)
    count_up(condition, value, 100, 0)
    with condition:
        assert condition.wait_for(lambda: value.get_value() == 100)
        assert condition.wait_for(lambda: 0, 0.01) == 0
        assert condition.wait_for(lambda: "now", 0) == "now"
    process.join()
    assert process.exitcode == 0


def test_more_waiters_than_the_table_knows() -> None:
    condition, told = millpond.Condition(millpond.Lock()), millpond.Semaphore(0)
    threads = [threading.Thread(target=wait_and_tell, args=(condition, told)) for _ in range(260)]
    for thread in threads:
        thread.start()
    until(lambda: waiting(condition) == 250)
    while any(thread.is_alive() for thread in threads):
        with condition:
            condition.notify_all()
        time.sleep(0.01)
    assert told.get_value() == 260
