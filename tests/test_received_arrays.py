"""Arrays that arrive where the standard library's do not, or can do more.

What can be compared with the standard library is: `differential/cases/17_*`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest

import millpond

# What is read-only stays so by pickle protocol 5, the default since CPython 3.14.
IS_WRITABLE = pickle.DEFAULT_PROTOCOL < 5

SIZES = (10, 1000, 5000, 100_000)


def read_only(length: int) -> Any:
    array = numpy.arange(length)
    array.setflags(write=False)
    return array


def identity(value: Any) -> Any:
    return value


@contextmanager
def one_worker() -> Iterator[Any]:
    with millpond.get_context("fork").Pool(1) as pool:
        yield pool
    pool.join()


def sent(length: int) -> Any:
    """Make an array that arrives writable."""
    return read_only(length) if IS_WRITABLE else numpy.arange(length)


@pytest.mark.parametrize("length", SIZES)
def test_read_only_arrays_arrive_as_the_pickle_protocol_has_it(length: int) -> None:
    with one_worker() as pool:
        for array in (read_only(length), numpy.arange(length)):
            received = pool.apply(identity, (array,))
            assert received.flags.writeable is (IS_WRITABLE or array.flags.writeable)
            swapped = pool.apply(identity, (array.astype(">i8"),))
            assert swapped.dtype.isnative is IS_WRITABLE
            assert (swapped == array).all()


@pytest.mark.parametrize("length", SIZES)
def test_what_goes_by_value_brings_writable_arrays(length: int) -> None:
    class Holder:
        def __init__(self) -> None:
            self.array = sent(length)

        def change(self) -> Any:
            self.array[0] = 42
            return self.array

    def change(array: Any) -> Any:
        array[0] = 42
        return array

    holder = Holder()
    with one_worker() as pool:
        assert pool.apply(Holder.change, (holder,))[0] == 42
        assert pool.apply(change, (sent(length),))[0] == 42
    assert holder.array[0] == 0


@pytest.mark.parametrize("length", SIZES)
def test_exceptions_bring_writable_arrays(length: int) -> None:
    def fail(array: Any) -> None:
        raise ValueError(array)

    with one_worker() as pool, pytest.raises(ValueError, match=r"\[") as caught:
        pool.apply(fail, (sent(length),))
    received = caught.value.args[0]
    received[0] = 42
    assert received[0] == 42
    # It is in a cycle with its traceback, and memory that is lent with it.
    caught.value.args = ()


def test_large_arrays_can_be_frozen_and_thawed() -> None:
    with one_worker() as pool:
        received = pool.apply(identity, (sent(100_000),))
    received.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        received[0] = 1
    received.setflags(write=True)
    received[0] = 1


def test_large_arrays_lie_beside_the_pickle() -> None:
    """Of whatever is copied into a message, and there alone."""
    from millpond._pickling import codec

    rows = numpy.arange(200_000).reshape(400, -1)
    for array in (rows, rows.T, rows[::2], rows[:, ::2], read_only(100_000).view("m8[s]")):
        pickled, *beside = codec.dumps({"array": [array, array]})
        assert len(pickled) < 1000
        assert [len(bytes(buffer)) for buffer in beside] == [array.nbytes]
        received = codec.loads(pickled, [memoryview(bytearray(buffer)) for buffer in beside])[
            "array"
        ]
        assert received[0] is received[1]
        assert (received[0] == array).all()


def test_pickles_within_pickles_have_buffers_of_their_own() -> None:
    from millpond._pickling import codec

    inner = codec.dumps(read_only(20_000))
    queue = millpond.get_context("fork").Queue()

    class Sender:
        def __reduce__(self) -> Any:
            queue.put(numpy.full(50_000, 7))
            return fetch, (queue, numpy.full(30_000, 1))

    def load(parts: Any) -> Any:
        return codec.loads(parts[0], [memoryview(bytearray(part)) for part in parts[1:]])

    first, sent, last = load(codec.dumps([read_only(40_000), Sender(), read_only(60_000)]))
    assert (len(first), len(sent[0]), len(sent[1]), len(last)) == (40_000, 50_000, 30_000, 60_000)
    assert (sent[0][0], sent[1][0], last[5]) == (7, 1, 5)
    assert len(load(inner)) == 20_000
    queue.close()


def fetch(queue: Any, array: Any) -> Any:
    return queue.get(), array
