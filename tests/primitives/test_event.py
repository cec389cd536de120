"""`Event`: set, cleared, waited for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.starting import Start

import millpond
from millpond.context import BaseContext


def test_one_process() -> None:
    event = millpond.Event()
    assert event.is_set() is False
    assert event.wait(0.01) is False
    assert event.wait(-1) is False
    event.set()
    event.set()
    assert (event.is_set(), event.wait(), event.wait(0)) == (True, True, True)
    assert repr(event) == f"<Event at {id(event):#x} set>"
    event.clear()
    assert (event.is_set(), event.wait(0)) == (False, False)
    assert repr(event).endswith(" unset>")
    with pytest.raises(TypeError):
        event.wait("soon")  # type: ignore[arg-type]


def answer(question: Any, reply: Any, rounds: int) -> None:
    for _ in range(rounds):
        assert question.wait() is True
        question.clear()
        reply.set()


def test_processes_take_turns(context: BaseContext, start: Start) -> None:
    question, reply = context.Event(), context.Event()
    process = start(answer, question, reply, 200)
    for _ in range(200):
        question.set()
        assert reply.wait() is True
        reply.clear()
    process.join()
    assert process.exitcode == 0


def wait(event: Any, there: Any) -> None:
    there.release()
    assert event.wait() is True


def test_everybody_is_let_through(context: BaseContext, start: Start) -> None:
    event, there = context.Event(), context.Semaphore(0)
    processes = [start(wait, event, there) for _ in range(3)]
    threads = [threading.Thread(target=wait, args=(event, there)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        there.acquire()
    event.set()
    for thread in threads:
        thread.join()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3


def test_what_it_is_not_made_of() -> None:
    assert not {"_cond", "_flag"} & set(dir(millpond.Event()))
    assert "_cond" not in dir(millpond.Barrier(1))
