"""`Queue`, `JoinableQueue`, `SimpleQueue`: what is put comes out once, in order, in any process."""

from __future__ import annotations

import copy
import multiprocessing.connection
import os
import pickle
import queue as threads_queue
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import queues as stdlib_queues
from typing import Any

import numpy as np
import pytest
from support.starting import Start

import millpond
import millpond.queues
from millpond.context import BaseContext

KINDS = ["Queue", "JoinableQueue", "SimpleQueue"]


@pytest.fixture(params=KINDS)
def queue(request: pytest.FixtureRequest) -> Any:
    return getattr(millpond, request.param)()


VALUES: list[Any] = [
    None,
    True,
    5,
    -(2**63),
    2**200,
    1.5,
    "text ünd \N{SNOWMAN}",
    b"bytes",
    (1, (2, "three")),
    [1, [2], {"three": {4}}],
    "large " * 20_000,
    b"large" * 20_000,
    ["in a list", b"large" * 20_000],
    {"pickled": "large " * 20_000},
    range(3),
    len,
    ValueError("an exception"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_values_come_out_as_they_were(value: Any) -> None:
    queue = millpond.Queue()
    queue.put(value)
    queue.put_many([value, value])
    got = [queue.get(), *queue.get_many(2)]
    assert [repr(one) for one in got] == [repr(value)] * 3
    assert [type(one) for one in got] == [type(value)] * 3
    assert queue.empty()


def test_functions_that_do_not_pickle_by_reference(queue: Any) -> None:
    queue.put(lambda x: 2 * x)
    assert queue.get()(3) == 6


def test_arrays_come_as_views_of_shared_memory(queue: Any) -> None:
    array = np.arange(100_000)
    queue.put(array)
    array[:] = 0
    got = queue.get()
    assert (got == np.arange(100_000)).all()
    got += 1
    assert not got.flags.owndata
    del got


def test_the_bound_is_kept() -> None:
    queue = millpond.Queue(2)
    queue.put(1)
    assert (queue.qsize(), queue.empty(), queue.full()) == (1, False, False)
    queue.put(2)
    assert (queue.qsize(), queue.full()) == (2, True)
    puts: list[Callable[[], None]] = [
        lambda: queue.put(3, False),
        lambda: queue.put_nowait(3),
        lambda: queue.put(3, True, 0.01),
        lambda: queue.put(3, timeout=-1),
    ]
    for call in puts:
        with pytest.raises(threads_queue.Full) as full:
            call()
        assert vars(full.value) == {}
    assert [queue.get(), queue.get_nowait()] == [1, 2]
    for call in (queue.get_nowait, lambda: queue.get(False), lambda: queue.get(True, 0.01)):
        with pytest.raises(threads_queue.Empty):
            call()
    with pytest.raises(threads_queue.Empty):
        queue.get(timeout=-1)


@pytest.mark.parametrize("kind", [millpond.Queue, millpond.JoinableQueue])
def test_a_size_that_is_no_integer(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"maxsize must be an integer, not 'a' \(str\)"):
        kind("a")
    with pytest.raises(TypeError, match=r"not 2\.5 \(float\)"):
        kind(2.5)
    assert kind(True).full() is False


def test_a_size_that_is_too_large() -> None:
    largest = 2**31 - 1
    assert millpond.Queue(largest).full() is False
    for size in (largest + 1, 2**40):
        with pytest.raises(OverflowError, match=f"maxsize must be at most {largest}, not {size}"):
            millpond.Queue(size)


def test_reprs_tell_the_state() -> None:
    queue, tasks, simple = millpond.Queue(3), millpond.JoinableQueue(), millpond.SimpleQueue()
    queue.put("one")
    assert repr(queue) == "<millpond.queues.Queue items=1 maxsize=3>"
    assert repr(tasks) == "<millpond.queues.JoinableQueue items=0>"
    assert repr(simple) == "<millpond.queues.SimpleQueue items=0>"
    queue.close()
    assert repr(queue) == "<millpond.queues.Queue closed>"
    unmade = millpond.queues.Queue.__new__(millpond.queues.Queue)
    assert repr(unmade) == "<millpond.queues.Queue uninitialized>"


@pytest.mark.parametrize("kind", KINDS)
def test_subscripted(kind: str) -> None:
    cls = getattr(millpond.queues, kind)
    alias = cls[int]
    assert (alias.__origin__, alias.__args__) == (cls, (int,))
    queue = alias()
    assert type(queue) is cls
    queue.put(1)
    assert queue.get() == 1


def test_several_at_a_time() -> None:
    queue = millpond.Queue(4)
    queue.put_many(n for n in range(3))
    with pytest.raises(threads_queue.Full) as full:
        queue.put_many([3, 4, 5], timeout=0.01)
    assert full.value.put == 1  # type: ignore[attr-defined]
    assert str(full.value) == "put 1 of 3 items; the queue is full"
    assert queue.get_many(2) == [0, 1]
    assert queue.get_many(max=10, timeout=5) == [2, 3]
    with pytest.raises(threads_queue.Empty):
        queue.get_many(10, False)
    queue.put_many([])
    assert queue.empty()
    with pytest.raises(ValueError, match="max must be at least 1"):
        queue.get_many(0)
    with pytest.raises(TypeError):
        queue.put_many(5)  # type: ignore[arg-type]
    assert queue.empty()


def test_more_than_there_is_room_for() -> None:
    queue = millpond.Queue(3)
    thread = threading.Thread(target=queue.put_many, args=(list(range(100)),))
    thread.start()
    got: list[int] = []
    while len(got) < 100:
        got += queue.get_many(2)
    thread.join()
    assert got == list(range(100))


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("it does not pickle")


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_what_does_not_pickle_is_an_error_of_put(queue: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="it does not pickle"):
        queue.put(Unpicklable())
    with pytest.raises(ZeroDivisionError):
        queue.put_many([1, Unpicklable()])
    assert queue.empty()
    queue.put(5)
    assert queue.get() == 5


def test_what_does_not_unpickle_is_an_error_of_get(queue: Any) -> None:
    queue.put_many([1, Unloadable(), 2, Unloadable()])
    with pytest.raises(ValueError, match="no number") as failed:
        queue.get_many(3)
    assert failed.value.received == [1, 2]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no number"):
        queue.get()
    assert queue.empty()


class Telling(millpond.queues.Queue):
    told: Any = None

    def _on_queue_feeder_error(self, e: BaseException, obj: object) -> None:  # type: ignore[override]
        Telling.told = (e, obj)


def test_a_subclass_may_be_told_instead() -> None:
    queue, item = Telling(ctx=multiprocessing.get_context()), Unpicklable()
    queue.put(item)
    error, obj = Telling.told
    assert (type(error), obj, queue.qsize()) == (ZeroDivisionError, item, 0)
    Telling.told = None


class Counting(millpond.queues.Queue):
    """As programs subclass the standard library's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, ctx=multiprocessing.get_context(), **kwargs)
        self.count = millpond.Value("i", 0)

    def __getstate__(self) -> Any:
        return {"parent": super().__getstate__(), "count": self.count}

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state["parent"])
        self.count = state["count"]

    def put(self, *args: Any, **kwargs: Any) -> None:
        super().put(*args, **kwargs)
        with self.count.get_lock():
            self.count.value += 1


def test_subclasses_with_a_state(start: Start) -> None:
    queue = Counting()
    start(put_all, queue, [1, 2]).join()
    assert (queue.count.value, queue.get(), queue.get()) == (2, 1, 2)
    queue.put_nowait(3)
    assert (queue.count.value, queue.get_nowait()) == (3, 3)


def test_a_closed_queue_says_so() -> None:
    for queue in (millpond.Queue(), millpond.JoinableQueue()):
        with pytest.raises(AssertionError, match="not closed"):
            queue.join_thread()
        queue.put(1)
        queue.close()
        queue.close()
        queue.join_thread()
        queue.cancel_join_thread()
        for call in (queue.get, queue.get_nowait, partial(queue.put, 1)):
            with pytest.raises(
                ValueError, match=r"Queue <millpond.queues.\w+ object at 0x[0-9a-f]+> is closed"
            ):
                call()
        with pytest.raises(OSError, match="is closed"):
            queue.empty()
        unused = type(queue)(ctx=millpond.get_context())
        unused.close()
        unused.join_thread()
        assert unused.empty()
    simple = millpond.SimpleQueue()
    simple.close()
    with pytest.raises(OSError, match="is closed"):
        simple.empty()
    with pytest.raises(OSError, match="is closed"):
        simple.put(1)


def full_queue() -> millpond.queues.Queue:
    queue = millpond.Queue(1)
    queue.put(1)
    return queue


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: millpond.Queue("1"), TypeError),  # type: ignore[arg-type]
        (lambda: millpond.Queue().get(True, "soon"), TypeError),  # type: ignore[arg-type]
        (lambda: millpond.Queue().get(True, float("nan")), ValueError),
        (lambda: full_queue().put(2, timeout=float("nan")), ValueError),
        (lambda: full_queue().get_many(1, timeout=float("nan")), ValueError),
        (lambda: millpond.Queue().get_many(-1), OverflowError),
        (lambda: millpond.Queue().put(), TypeError),  # type: ignore[call-arg]
        (lambda: millpond.JoinableQueue().task_done(), ValueError),
        (lambda: millpond.Queue().__setstate__((False, 0, (b"nonsense", None))), ValueError),
        (lambda: millpond.queues.Queue.__new__(millpond.queues.Queue).get(), RuntimeError),
    ],
)
def test_arguments_that_make_no_sense(make: Callable[[], Any], error: type) -> None:
    with pytest.raises(error):
        make()


def put_all(queue: Any, items: list[Any]) -> None:
    for item in items:
        queue.put(item)


def test_processes_put(context: BaseContext, start: Start) -> None:
    for kind in KINDS:
        queue = getattr(context, kind)()
        processes = [start(put_all, queue, [(k, n) for n in range(200)]) for k in range(3)]
        got = [queue.get() for _ in range(600)]
        for k, process in enumerate(processes):
            process.join()
            assert [n for of, n in got if of == k] == list(range(200))
        assert queue.empty()


def move(source: Any, target: Any) -> None:
    while (item := source.get()) is not None:
        target.put(item)


def test_processes_get_and_put(context: BaseContext, start: Start) -> None:
    source, target = context.Queue(5), context.SimpleQueue()
    processes = [start(move, source, target) for _ in range(2)]
    sizes = [0, 10, 100_000]
    for n in range(300):
        source.put(bytes([n % 256]) * sizes[n % 3])
    for _ in processes:
        source.put(None)
    for process in processes:
        process.join()
    got = sorted(target.get() for _ in range(300))
    assert got == sorted(bytes([n % 256]) * sizes[n % 3] for n in range(300))
    assert target.empty()


def test_a_process_may_end_before_its_items_are_taken(context: BaseContext, start: Start) -> None:
    queue = context.Queue()
    items = ["small", b"large" * 1_000_000, np.ones(300_000)]
    process = start(put_all, queue, items)
    process.join()
    assert process.exitcode == 0
    assert queue.get() == items[0]
    assert queue.get() == items[1]
    assert (queue.get() == items[2]).all()


def test_a_queue_is_an_item_of_a_queue(context: BaseContext, start: Start) -> None:
    outer, inner, lock = context.Queue(), context.SimpleQueue(), context.Lock()
    start(answer_on, outer)
    outer.put((inner, lock))
    assert inner.get() == "hello"
    with lock:
        pass


def answer_on(outer: Any) -> None:
    inner, lock = outer.get()
    with lock:
        inner.put("hello")


def put_one(queue: Any) -> int:
    queue.put("from a task")
    return os.getpid()


def test_a_queue_is_a_task_s_argument(context: BaseContext) -> None:
    queue = context.Queue()
    with context.Pool(1) as pool:
        pool.map(put_one, [queue, queue])
    assert queue.get_many(5) == ["from a task"] * 2


def test_copies_are_the_same_queue(queue: Any) -> None:
    again, another = pickle.loads(pickle.dumps(queue)), copy.copy(queue)
    again.put(1)
    another.put(2)
    assert [queue.get(), queue.get()] == [1, 2]


def work(queue: Any, done: Any) -> None:
    while queue.get() is not None:
        done.release()
        queue.task_done()
    queue.task_done()


def test_join_waits_until_all_is_done(context: BaseContext, start: Start) -> None:
    queue, done = context.JoinableQueue(), context.Semaphore(0)
    queue.join()
    processes = [start(work, queue, done) for _ in range(2)]
    for n in range(50):
        queue.put(n)
    queue.join()
    assert (done.get_value(), queue.qsize()) == (50, 0)
    for _ in processes:
        queue.put(None)
    queue.join()
    with pytest.raises(ValueError, match="called too many times"):
        queue.task_done()


def test_one_may_wait_for_several_queues(context: BaseContext, start: Start) -> None:
    queues = [context.Queue(), context.SimpleQueue()]
    readers = [queue._reader for queue in queues]
    # To its types, only connections, sockets and descriptors can be waited for.
    wait: Any = multiprocessing.connection.wait
    assert wait(readers, 0) == []
    start(put_all, queues[1], [5])
    assert wait(readers) == [queues[1]._reader]
    assert readers[1].poll() and not readers[0].poll(0.01)
    assert readers[1].recv() == 5
    assert wait(readers, 0) == []
    queues[0]._writer.send(6)
    assert millpond.connection.wait(readers) == [readers[0]]
    assert queues[0]._poll()
    assert queues[0].get() == 6
    for queue in queues:
        queue._reader.close()
        queue._writer.close()
        queue.put(7)
        assert (queue._reader.fileno() > 0, queue.get()) == (True, 7)


def test_a_forked_child_may_use_what_its_parent_closed() -> None:
    context = millpond.get_context("fork")
    queue, reply = context.Queue(), context.Queue()
    queue.put("kept")
    queue.close()
    process = context.Process(target=move_one, args=(queue, reply))
    process.start()
    assert reply.get() == "kept"
    process.join()


def move_one(queue: Any, reply: Any) -> None:
    reply.put(queue.get())


def test_installed_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    millpond.install()
    try:
        queue: multiprocessing.Queue[int] = multiprocessing.Queue()
        assert type(queue) is stdlib_queues.Queue
        assert isinstance(queue, millpond.queues.Queue)
        queue.put(1)
        assert queue.get() == 1
    finally:
        millpond.uninstall()
