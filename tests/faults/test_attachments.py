"""What was sent is there, whatever becomes of its sender: every kind of object by every way."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import resource_sharer
from typing import Any

import pytest
from support.belongings import descriptors

import millpond
from millpond.context import BaseContext

# Imported before pools are made, so that workers keep the blocks that their tasks make.
from millpond.shared_memory import SharedMemory

# A worker that is forked while a thread imports one of these for the first time would wait for it.
import millpond.arrays  # isort: skip
import millpond.queues  # isort: skip
import millpond.sharedctypes  # isort: skip
import millpond.synchronize  # isort: skip

Kind = tuple[Callable[[], Any], Callable[[Any], object]]


def use_lock(lock: Any) -> None:
    assert lock.acquire(timeout=10)
    lock.release()


def use_condition(condition: Any) -> None:
    with condition:
        condition.notify_all()


def use_event(event: Any) -> None:
    event.set()
    assert event.wait(10)


def use_barrier(barrier: Any) -> None:
    assert barrier.wait(10) == 0


def use_queue(queue: Any) -> None:
    queue.put("item")
    assert queue.get() == "item"


def use_joinable(queue: Any) -> None:
    use_queue(queue)
    queue.task_done()
    queue.join()


def use_watched(queue: Any) -> None:
    queue.put(1)
    assert millpond.connection.wait([queue._reader], 10)
    queue.get()
    queue.close()


def use_simple(queue: Any) -> None:
    use_queue(queue)
    queue.close()


def use_pipe(ends: Any) -> None:
    first, second = ends
    for size in (1, 100_000):
        second.send("x" * size)
        assert first.recv() == "x" * size
    first.close()
    second.close()


def use_one_end(end: Any) -> None:
    # What was sent to it before it was sent itself.
    assert end.recv() == ["sent", "before"]
    with pytest.raises(EOFError):
        end.recv()
    end.close()


def make_one_end() -> Any:
    reader, writer = millpond.Pipe(duplex=False)
    writer.send(["sent", "before"])
    writer.close()
    return reader


def use_value(value: Any) -> None:
    with value.get_lock():
        value.value += 1
    assert value.value == 6


def use_array(array: Any) -> None:
    array[2] += 1
    assert array[:] == [0, 1, 3]


def use_raw(array: Any) -> None:
    assert list(array) == [0, 1, 2]


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


def make_shared_array() -> Any:
    np = pytest.importorskip("numpy")
    return millpond.shared_array_from(np.arange(30_000))


def use_shared_array(array: Any) -> None:
    assert array.sum() == sum(range(30_000))


def make_block() -> Any:
    block = SharedMemory(create=True, size=100)
    assert block.buf is not None
    block.buf[:4] = b"here"
    return block


def use_several(made: Any) -> None:
    for use_one, one in zip((use_queue, use_lock, use_simple, use_lock), made, strict=True):
        use_one(one)


def use_block(block: Any) -> None:
    assert bytes(block.buf[:4]) == b"here"
    block.close()
    block.unlink()


KINDS: dict[str, Kind] = {
    "Lock": (millpond.Lock, use_lock),
    "RLock": (millpond.RLock, use_lock),
    "Semaphore": (lambda: millpond.Semaphore(2), use_lock),
    "BoundedSemaphore": (lambda: millpond.BoundedSemaphore(2), use_lock),
    "Condition": (millpond.Condition, use_condition),
    "Event": (millpond.Event, use_event),
    "Barrier": (lambda: millpond.Barrier(1), use_barrier),
    "Queue": (millpond.Queue, use_queue),
    "Queue with a watcher": (millpond.Queue, use_watched),
    "JoinableQueue": (millpond.JoinableQueue, use_joinable),
    "SimpleQueue": (millpond.SimpleQueue, use_simple),
    "both ends of a Pipe": (millpond.Pipe, use_pipe),
    "one end of a Pipe": (make_one_end, use_one_end),
    "Value": (lambda: millpond.Value("i", 5), use_value),
    "Value of a structure": (lambda: millpond.Value(Point, 1, 2.5), lambda point: point.x),
    "Array": (lambda: millpond.Array("i", [0, 1, 2]), use_array),
    "RawArray": (lambda: millpond.RawArray("i", [0, 1, 2]), use_raw),
    "large RawArray": (lambda: millpond.RawArray("b", 100_000), lambda array: array[99_999]),
    "shared_array": (make_shared_array, use_shared_array),
    "SharedMemory": (make_block, use_block),
    "several": (
        lambda: [millpond.Queue(), millpond.Lock(), millpond.SimpleQueue(), millpond.Lock()],
        use_several,
    ),
}


class Carrier(Exception):
    """An exception with a shared object."""


def make(kind: str) -> Any:
    return KINDS[kind][0]()


def make_or_die(kind: str | None) -> Any:
    if kind is None:
        os.kill(os.getpid(), signal.SIGKILL)
    assert kind is not None
    return make(kind)


def make_and_raise(kind: str) -> None:
    raise Carrier(make(kind))


def use(kind: str, made: Any) -> str:
    KINDS[kind][1](made)
    return kind


def use_pair(pair: tuple[str, Any]) -> str:
    return use(*pair)


def check(received: Iterator[tuple[str, Any]]) -> None:
    """Use what was received; name all kinds with which that fails."""
    kinds, failures = set(), {}
    for kind, made in received:
        kinds.add(kind)
        try:
            if isinstance(made, Exception):
                raise made
            KINDS[kind][1](made)
        except Exception as error:
            failures[kind] = repr(error)
    assert not failures
    assert kinds == set(KINDS)


def test_results_whose_workers_have_ended(context: BaseContext) -> None:
    with context.Pool(4, maxtasksperchild=1) as pool:
        results = {kind: pool.apply_async(make, (kind,)) for kind in KINDS}
        pool.close()
        pool.join()
        check((kind, result.get()) for kind, result in results.items())


@pytest.mark.parametrize("tasks", [1, 3])
def test_results_in_chunks(context: BaseContext, tasks: int) -> None:
    with context.Pool(2, maxtasksperchild=tasks) as pool:
        mapped = pool.map_async(make, [*KINDS] * 3, chunksize=9)
        lazily = pool.imap(make, KINDS)
        pool.close()
        pool.join()
        made = mapped.get()
        for part in range(3):
            check(zip(KINDS, made[part * len(KINDS) :], strict=False))
        check(zip(KINDS, lazily, strict=True))


def test_results_whose_workers_are_killed_next(context: BaseContext) -> None:
    with context.Pool(1) as pool:
        received = {}
        for kind in KINDS:
            made = pool.apply_async(make_or_die, (kind,))
            killed = pool.apply_async(make_or_die, (None,))
            killed.wait()
            received[kind] = made.get()
    check(iter(received.items()))


def test_attributes_of_exceptions(context: BaseContext) -> None:
    def raised(result: Any) -> Any:
        with pytest.raises(Carrier) as caught:
            result.get()
        [made] = caught.value.args
        return made

    with context.Pool(4, maxtasksperchild=1) as pool:
        results = {kind: pool.apply_async(make_and_raise, (kind,)) for kind in KINDS}
        pool.close()
        pool.join()
        check((kind, raised(result)) for kind, result in results.items())


def test_arguments_that_nobody_else_has(context: BaseContext) -> None:
    with context.Pool(2, maxtasksperchild=1) as pool:
        used = [pool.apply_async(use, (kind, make(kind))) for kind in KINDS]
        gc.collect()
        assert [result.get() for result in used] == [*KINDS]
        pairs = ((kind, make(kind)) for kind in KINDS)
        assert list(pool.imap(use_pair, pairs)) == [*KINDS]
    # It has the descriptors of connections.
    resource_sharer.stop()


def keep_made(*pairs: tuple[str, Any]) -> None:
    global made_before
    made_before = pairs


made_before: tuple[tuple[str, Any], ...] = ()


def use_kept(index: int) -> str:
    return use(*made_before[index])


def test_arguments_of_an_initializer_and_of_a_process(context: BaseContext) -> None:
    pairs = [(kind, make(kind)) for kind in KINDS]
    with context.Pool(1, keep_made, pairs) as pool:
        del pairs
        gc.collect()
        assert [pool.apply(use_kept, (index,)) for index in range(len(KINDS))] == [*KINDS]
    for kind in KINDS:
        process = context.Process(target=use, args=(kind, make(kind)))
        process.start()
        process.join()
        assert process.exitcode == 0, kind


def send_all(connection: Any, is_killed: bool) -> None:
    for kind in KINDS:
        connection.send((kind, make(kind)))
    if is_killed:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_killed", [False, True])
def test_messages_of_a_pipe_whose_sender_is_gone(context: BaseContext, is_killed: bool) -> None:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=send_all, args=(theirs, is_killed))
    process.start()
    theirs.close()
    process.join()
    check(ours.recv() for _ in KINDS)
    with pytest.raises(EOFError):
        ours.recv()
    ours.close()


def test_a_message_of_a_pipe_is_the_same_object_for_its_sender() -> None:
    for size in (0, 100_000):
        ours, theirs = millpond.Pipe()
        value = millpond.Value("i", 1)
        ours.send(("x" * size, value))
        _, received = theirs.recv()
        received.value = 2
        assert value.value == 2
        ours.close()
        theirs.close()


def put_all(queue: Any) -> None:
    for kind in KINDS:
        if "end" not in kind:
            queue.put((kind, make(kind)))


def test_items_of_a_queue_whose_producer_ends(context: BaseContext) -> None:
    queue = context.Queue()
    process = context.Process(target=put_all, args=(queue,))
    process.start()
    received = [queue.get() for kind in KINDS if "end" not in kind]
    process.join()
    assert process.exitcode == 0
    for pair in received:
        use(*pair)


def test_many_handles_in_one_message() -> None:
    ours, theirs = millpond.Pipe()
    queues = [millpond.SimpleQueue() for _ in range(150)]
    ours.send(queues)
    for number, queue in enumerate(theirs.recv()):
        queue.put(number)
    for number, queue in enumerate(queues):
        assert queue.get() == number
    ours.close()
    theirs.close()


def test_what_nobody_receives_goes_with_its_message() -> None:
    before = len([*descriptors()])
    ours, theirs = millpond.Pipe()
    for _ in range(50):
        ours.send(millpond.Queue())
    ours.close()
    theirs.close()
    gc.collect()
    assert len([*descriptors()]) <= before
