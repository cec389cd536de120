"""`Semaphore` and `BoundedSemaphore`: permits are counted, across processes too."""

from __future__ import annotations

from typing import Any

import pytest
from support.starting import Start

import millpond
from millpond.context import BaseContext


def test_permits_are_counted() -> None:
    semaphore = millpond.Semaphore(2)
    assert semaphore.get_value() == 2
    assert semaphore.acquire() and semaphore.acquire(False)
    assert semaphore.get_value() == 0
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(True, 0.01) is False
    semaphore.release()
    with semaphore as entered:
        assert entered is True
        assert semaphore._semlock._is_zero()
    for _ in range(5):
        semaphore.release()
    assert semaphore.get_value() == 6
    assert repr(semaphore) == "<Semaphore(value=6)>"


@pytest.mark.parametrize("make", [millpond.Semaphore, millpond.BoundedSemaphore])
def test_locked_without_permits(make: Any) -> None:
    semaphore = make(2)
    assert semaphore.acquire() and semaphore.locked() is False
    assert semaphore.acquire() and semaphore.locked() is True
    semaphore.release()
    assert semaphore.locked() is False


def test_a_bound_is_kept() -> None:
    semaphore = millpond.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    assert semaphore.acquire()
    assert repr(semaphore) == "<BoundedSemaphore(value=1, maxvalue=2)>"
    semaphore.release()
    assert (semaphore.get_value(), semaphore._semlock.maxvalue) == (2, 2)


@pytest.mark.parametrize("make", [millpond.Semaphore, millpond.BoundedSemaphore])
@pytest.mark.parametrize(
    ("value", "error"), [(-1, OSError), (2**31, OverflowError), ("1", TypeError), (1.5, TypeError)]
)
def test_first_values_that_make_no_sense(make: Any, value: Any, error: type) -> None:
    with pytest.raises(error):
        make(value)


@pytest.mark.parametrize("make", [millpond.Semaphore, millpond.BoundedSemaphore])
def test_the_most_permits(make: Any) -> None:
    full = make(2**31 - 1)
    assert full.get_value() == 2**31 - 1
    with pytest.raises(ValueError, match="released too many times"):
        full.release()


def answer(question: Any, reply: Any) -> None:
    for _ in range(100):
        question.acquire()
        reply.release()


def test_processes_signal_each_other(context: BaseContext, start: Start) -> None:
    question, reply = context.Semaphore(0), context.Semaphore(0)
    process = start(answer, question, reply)
    for _ in range(100):
        question.release()
        assert reply.acquire()
    process.join()
    assert (question.get_value(), reply.get_value(), process.exitcode) == (0, 0, 0)


def pass_through(semaphore: Any, rounds: int) -> None:
    for _ in range(rounds):
        with semaphore:
            assert 0 <= semaphore.get_value() < 2


def test_many_processes_share_few_permits(context: BaseContext, start: Start) -> None:
    semaphore = context.BoundedSemaphore(2)
    processes = [start(pass_through, semaphore, 300) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert semaphore.get_value() == 2
