"""Types of locks, semaphores, conditions, events and barriers."""

from __future__ import annotations

import multiprocessing.synchronize
import threading
from typing import assert_type

import millpond
from millpond.synchronize import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
)


def locks() -> None:
    lock, recursive = millpond.Lock(), millpond.RLock()
    assert_type(lock, Lock)
    assert_type(recursive, RLock)
    assert_type(lock.acquire(), bool)
    assert_type(lock.acquire(True, 1.5), bool)
    assert_type(recursive.acquire(block=False, timeout=None), bool)
    assert_type(lock.release(), None)
    with lock as is_held:
        assert_type(is_held, bool)
    with recursive:
        pass
    assert_type(Lock(), Lock)
    assert_type(RLock(ctx=millpond.get_context("spawn")), RLock)


def semaphores() -> None:
    semaphore, bounded = millpond.Semaphore(2), millpond.BoundedSemaphore(value=3)
    assert_type(semaphore, Semaphore)
    assert_type(bounded, BoundedSemaphore)
    assert_type(semaphore.acquire(timeout=1), bool)
    assert_type(bounded.release(), None)
    assert_type(semaphore.get_value(), int)
    with semaphore as is_held:
        assert_type(is_held, bool)
    as_semaphore: Semaphore = bounded
    as_semaphore.release()


def conditions() -> None:
    condition = millpond.Condition()
    assert_type(condition, Condition)
    assert_type(millpond.Condition(millpond.Lock()), Condition)
    assert_type(Condition(millpond.RLock()), Condition)
    with condition as is_held:
        assert_type(is_held, bool)
        assert_type(condition.wait(), bool)
        assert_type(condition.wait(timeout=0.5), bool)
        assert_type(condition.wait_for(lambda: 42, timeout=1), int)
        assert_type(condition.wait_for(lambda: [b"items"]), list[bytes])
        assert_type(condition.notify(2), None)
        assert_type(condition.notify_all(), None)
    assert_type(condition.acquire(False), bool)
    assert_type(condition.release(), None)


def condition_over_a_lock_of_the_standard_library(lock: multiprocessing.synchronize.RLock) -> None:
    assert_type(millpond.Condition(lock), Condition)


def events() -> None:
    event = millpond.Event()
    assert_type(event, Event)
    assert_type(event.is_set(), bool)
    assert_type(event.set(), None)
    assert_type(event.clear(), None)
    assert_type(event.wait(), bool)
    assert_type(event.wait(2), bool)


def barriers() -> None:
    barrier = millpond.Barrier(2, action=print, timeout=5)
    assert_type(barrier, Barrier)
    assert_type(barrier.wait(), int)
    assert_type(barrier.wait(timeout=1.0), int)
    assert_type(barrier.abort(), None)
    assert_type(barrier.reset(), None)
    assert_type(barrier.broken, bool)
    assert_type(barrier.n_waiting, int)
    assert_type(barrier.parties, int)
    as_of_threads: threading.Barrier = barrier
    as_of_threads.reset()


def death_of_an_owner() -> None:
    try:
        millpond.Lock().acquire()
    except millpond.OwnerDied as death:
        assert_type(death.pid, int)
        assert_type(death.exitcode, int | None)
        assert_type(death.held, bool)
