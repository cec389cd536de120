"""`millpond.shared_array`: arrays of numpy that processes pass to each other without a copy."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
import time
from typing import Any

import numpy as np
import pytest
from support.belongings import descriptors
from support.processes import wait_until
from support.program import run_program

import millpond
from millpond._pickling import handles
from millpond.context import BaseContext


def is_shared(array: Any) -> bool:
    """Whether the array travels as a view of shared memory."""
    received = pickle.loads(pickle.dumps(array))
    assert np.array_equal(received, array)
    return bool(np.shares_memory(received, array))


def increase(array: Any) -> Any:
    array += 1
    return array


@pytest.mark.parametrize("size", [10, 200_000])
def test_an_argument_of_a_process(context: BaseContext, size: int) -> None:
    array = millpond.shared_array(size)
    process = context.Process(target=increase, args=(array,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (array == 1).all()


@pytest.mark.parametrize("size", [10, 200_000])
def test_arguments_and_results_of_tasks(context: BaseContext, size: int) -> None:
    array = millpond.shared_array((2, size), "i4", fill=5)
    with context.Pool(2) as pool:
        result = pool.apply(increase, (array,))
        assert (array == 6).all()
        assert np.shares_memory(result, array)
        row = pool.apply(increase, (array[1],))
        made = pool.apply(millpond.shared_array, (size,), {"fill": 3})
        assert (pool.apply(increase, (made,)) == 4).all()
    assert (array[0] == 6).all()
    assert (array[1] == 7).all()
    row[0] = 0
    assert array[1, 0] == 0
    # What was received outlives the process that made it.
    assert (made == 4).all()


_initial: Any = None


def keep(array: Any) -> None:
    global _initial
    _initial = array


def increase_kept(_: int) -> None:
    _initial[:] += 1


def test_an_argument_of_an_initializer(context: BaseContext) -> None:
    array = millpond.shared_array(5)
    with context.Pool(1, keep, (array,), maxtasksperchild=1) as pool:
        for _ in range(3):
            pool.map(increase_kept, [0])
    assert (array == 3).all()


def send(connection: Any, shape: Any) -> None:
    connection.send({"array": millpond.shared_array(shape, fill=2)})
    connection.recv()


def test_a_message_of_a_pipe(context: BaseContext) -> None:
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(theirs, (3, 3)))
    process.start()
    array = ours.recv()["array"]
    ours.send(None)
    process.join()
    assert array.tolist() == [[2, 2, 2]] * 3
    ours.close()
    theirs.close()


def put(queue: Any, array: Any) -> None:
    increase(array)
    queue.put(array[::2])


def put_new(queue: Any, grace: float | None = None) -> None:
    if grace is not None:
        handles.GRACE = grace
    queue.put(millpond.shared_array(100_000, fill=4))


def test_a_child_does_not_end_before_its_item_has_arrived(context: BaseContext) -> None:
    queue = context.SimpleQueue()
    process = context.Process(target=put_new, args=(queue,))
    process.start()
    # As long as a reader needs that has other things to do.
    time.sleep(0.3)
    assert (queue.get() == 4).all()
    process.join()
    assert process.exitcode == 0
    queue.close()


def test_a_child_whose_item_nobody_takes_ends(context: BaseContext) -> None:
    queue = context.SimpleQueue()
    process = context.Process(target=put_new, args=(queue, 0.1))
    process.start()
    process.join()
    assert process.exitcode == 0
    with pytest.raises(OSError, match="which sent it, ended"):
        queue.get()
    queue.close()


def test_an_item_of_a_queue(context: BaseContext) -> None:
    array = millpond.shared_array(6)
    queue = context.SimpleQueue()
    process = context.Process(target=put, args=(queue, array))
    process.start()
    received = queue.get()
    process.join()
    received[:] = 9
    assert array.tolist() == [9, 1, 9, 1, 9, 1]
    queue.close()


def test_views_travel_as_views() -> None:
    array = millpond.shared_array((4, 6), [("a", "i4"), ("b", "f8")])
    for view in (array, array[1], array[::-1, ::2], array.T, array["b"], array.reshape(24)[3:]):
        assert is_shared(view)
    assert is_shared(np.broadcast_to(array[0], (5, 6), subok=True))
    read_only = array[:]
    read_only.flags.writeable = False
    received = pickle.loads(pickle.dumps(read_only))
    assert not received.flags.writeable
    assert pickle.loads(pickle.dumps(array)).flags.writeable


def test_copies_are_ordinary_arrays() -> None:
    array = millpond.shared_array((4, 6))
    for made in (array + 1, np.sqrt(array), array[[1, 2]], array[array == 0], array.sum(axis=0)):
        assert type(made) is np.ndarray
        assert not is_shared(made)
    for copied in (array.copy(), copy.copy(array), copy.deepcopy(array), np.array(array)):
        assert not is_shared(copied)
        assert not np.shares_memory(copied, array)
    assert not is_shared(np.asarray(array))
    assert isinstance(array.sum(), np.float64)
    assert isinstance(array[0, 0], np.float64)
    assert np.add(array, 1, out=array) is array


def test_several_views_in_one_message_are_of_one_memory() -> None:
    array = millpond.shared_array((2, 50_000))
    first, second, whole = pickle.loads(pickle.dumps((array[0], array[1], array)))
    whole[1, 5] = 3
    first[0] = 4
    assert (second[5], array[0, 0]) == (3, 4)


def test_shapes_and_types() -> None:
    assert millpond.shared_array(3).dtype == float
    assert millpond.shared_array(()).shape == ()
    assert millpond.shared_array(np.int64(3)).shape == (3,)
    assert millpond.shared_array([2, 3], "U5").shape == (2, 3)
    assert millpond.shared_array((0, 3)).shape == (0, 3)
    assert millpond.shared_array(2, bool, fill=True).all()
    assert not is_shared(millpond.shared_array(0))
    assert millpond.shared_array((3, 2), fill=[1, 2]).tolist() == [[1, 2]] * 3


def test_from_an_array() -> None:
    source = np.arange(6).reshape(2, 3)
    shared = millpond.shared_array_from(source)
    assert np.array_equal(shared, source)
    assert is_shared(shared)
    assert not np.shares_memory(shared, source)
    assert millpond.shared_array_from([1.5, 2]).tolist() == [1.5, 2]


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "message"),
    [
        (-1, float, ValueError, "negative dimensions"),
        ((2, -3), float, ValueError, "negative dimensions"),
        (3, object, TypeError, "Python objects"),
        (3, [("a", object)], TypeError, "Python objects"),
        (3, "no type", TypeError, "no type"),
        (1.5, float, TypeError, "float"),
        ("three", float, ValueError, "invalid literal"),
        ((1 << 40, 1 << 10), float, MemoryError, "ask for less"),
        ((1 << 62, 1 << 62), float, OverflowError, "int"),
    ],
)
def test_wrong_arguments(shape: Any, dtype: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        millpond.shared_array(shape, dtype)
    assert millpond.shared_array(2).tolist() == [0, 0]


def test_the_last_view_keeps_the_memory_and_its_end_frees_it() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    array = millpond.shared_array(100_000)
    corner = array[5:10]
    made = [array + 1, array.copy()]
    assert descriptors() == before + 1
    del array
    gc.collect()
    corner[:] = 3
    assert descriptors() == before + 1
    del corner
    gc.collect()
    assert descriptors() == before
    assert made


def test_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import millpond\n"
        "from millpond import *\n"
        "try: shared_array(3)\n"
        "except ImportError as error: print(error)\n"
    )
    done = run_program([sys.executable, "-c", code])
    assert done.stderr == ""
    assert done.stdout.startswith("arrays in shared memory need numpy, which cannot be imported")


def make_and_note(size: int) -> Any:
    return {"array": millpond.shared_array(size, fill=os.getpid()), "pid": os.getpid()}


@pytest.mark.parametrize("size", [10, 200_000])
def test_results_outlive_their_workers(context: BaseContext, size: int) -> None:
    with context.Pool(2, maxtasksperchild=1) as pool:
        results = [pool.apply_async(make_and_note, (size,)) for _ in range(5)]
        pool.close()
        pool.join()
        received = [result.get() for result in results]
    assert len({each["pid"] for each in received}) == 5
    for each in received:
        assert (each["array"] == each["pid"]).all()


def test_an_idle_worker_does_not_keep_what_it_sent() -> None:
    with millpond.get_context("fork").Pool(1) as pool:
        pid = pool.apply(os.getpid)

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{pid}/fd"))

        before = descriptors()
        array = pool.apply(make_and_note, (200_000,))["array"]
        assert wait_until(lambda: descriptors() == before, 30)
        assert (array == pid).all()


def test_results_that_nobody_fetches_are_freed() -> None:
    def memories() -> int:
        # Only those: the engine's thread may be about to open what it watches the pool by.
        return sum("memfd:" in target for _, target in descriptors())

    with millpond.get_context("fork").Pool(1) as pool:
        pool.apply(abs, (1,))
        before = memories()
        for _ in range(20):
            pool.apply_async(make_and_note, (100_000,))
        pool.apply(abs, (1,))
        gc.collect()
        # The engine's own thread may have taken the last ones in, and is about to let go of them.
        assert wait_until(lambda: memories() == before, 30)
