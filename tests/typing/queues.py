"""Types of queues."""

from __future__ import annotations

from typing import Any, assert_type

import millpond
import millpond.queues


def of_any_items() -> None:
    queue = millpond.queues.Queue[Any]()
    assert_type(queue.get(), Any)


def of_one_type(queue: millpond.queues.Queue[int]) -> None:
    assert_type(queue.put(1), None)
    assert_type(queue.put(2, True, 0.5), None)
    assert_type(queue.put_nowait(3), None)
    assert_type(queue.put_many([4, 5]), None)
    assert_type(queue.get(), int)
    assert_type(queue.get(block=False, timeout=None), int)
    assert_type(queue.get_nowait(), int)
    assert_type(queue.get_many(10), list[int])
    assert_type(queue.qsize(), int)
    assert_type(queue.empty(), bool)
    assert_type(queue.full(), bool)
    assert_type(queue.close(), None)
    assert_type(queue.join_thread(), None)
    assert_type(queue.cancel_join_thread(), None)


def by_annotation() -> None:
    # As in the stubs of the standard library: a function in fact, a class to annotations.
    queue: millpond.Queue[str] = millpond.Queue(10)
    assert_type(queue.get(), str)
    tasks: millpond.JoinableQueue[str] = millpond.JoinableQueue()
    assert_type(tasks.get(), str)
    simple: millpond.SimpleQueue[bytes] = millpond.SimpleQueue()
    assert_type(simple.get(), bytes)
    own: millpond.queues.Queue[str] = millpond.get_context("spawn").Queue(maxsize=1)
    assert_type(own.get(), str)


def joinable(queue: millpond.queues.JoinableQueue[str]) -> None:
    assert_type(queue.put("task"), None)
    assert_type(queue.get(), str)
    assert_type(queue.task_done(), None)
    try:
        assert_type(queue.join(), None)
    except millpond.TasksLost as lost:
        assert_type(lost.count, int)
    as_queue: millpond.queues.Queue[str] = queue
    as_queue.close()


def simple(queue: millpond.queues.SimpleQueue[tuple[int, str]]) -> None:
    assert_type(queue.put((1, "one")), None)
    assert_type(queue.get(), tuple[int, str])
    assert_type(queue.empty(), bool)
    assert_type(queue.close(), None)


def subscripted_when_it_runs() -> None:
    assert_type(millpond.queues.Queue[int](3), millpond.queues.Queue[int])
    assert_type(millpond.queues.JoinableQueue[int](), millpond.queues.JoinableQueue[int])
    assert_type(millpond.queues.SimpleQueue[int](), millpond.queues.SimpleQueue[int])


class Numbers(millpond.queues.Queue[float]):
    """A subclass for one type of items."""


def subclass() -> None:
    assert_type(Numbers().get(), float)
