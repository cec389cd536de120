"""A process dies while it holds the lock of shared data: one access says so, the rest go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import millpond
from millpond.context import BaseContext


def die_with(lock: Any, change: Callable[[Any], None], shared: Any) -> None:
    lock.acquire()
    change(shared)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_half_changed(context: BaseContext, shared: Any, change: Callable[[Any], None]) -> int:
    """Have a process die with the lock; return its pid."""
    process: Any = context.Process(target=die_with, args=(shared.get_lock(), change, shared))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return int(process.pid)


def set_value(shared: Any) -> None:
    shared.get_obj().value = 40


def set_element(shared: Any) -> None:
    shared.get_obj()[1] = 40


def read(value: Any) -> object:
    return value.value


def write(value: Any) -> None:
    value.value = 7


def add(value: Any) -> object:
    return value.add(2)


def enter(value: Any) -> None:
    with value:
        pass


@pytest.mark.parametrize("access", [read, write, add, enter])
def test_of_a_value(context: BaseContext, access: Callable[[Any], object]) -> None:
    value = context.Value("i", 1)
    pid = leave_half_changed(context, value, set_value)
    with pytest.raises(millpond.OwnerDied) as caught:
        access(value)
    assert caught.value.pid == pid
    # Nothing was done, and the lock is free.
    assert value.value == 40
    assert value.add(2) == 42
    assert value.get_lock().acquire(block=False)
    value.get_lock().release()


def test_of_an_array(context: BaseContext) -> None:
    array = context.Array("q", 3)
    pid = leave_half_changed(context, array, set_element)
    with pytest.raises(millpond.OwnerDied) as caught:
        array.add(1, 2)
    assert caught.value.pid == pid
    assert array[:] == [0, 40, 0]
    assert array.add(1, 2) == 42


def keep_adding(value: Any, started: Any) -> None:
    started.set()
    while True:
        value.add(1)


def test_processes_that_add_are_killed(context: BaseContext) -> None:
    """However many die while they add, the others go on, and no addition of theirs is lost."""
    value = context.Value("q")
    deaths = 0
    for _ in range(8):
        started = context.Event()
        process: Any = context.Process(target=keep_adding, args=(value, started))
        process.start()
        assert started.wait(30)
        for _ in range(200):
            before = value.get_obj().value
            try:
                assert value.add(1) > before
            except millpond.OwnerDied:
                deaths += 1
        process.kill()
        process.join()
    assert deaths <= 8
    try:
        last = value.add(0)
    except millpond.OwnerDied:
        last = value.add(0)
    assert last == value.value >= 8 * 200 - deaths
