"""`Value`, `Array`, `RawValue`, `RawArray`: ctypes in anonymous shared memory."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing.sharedctypes
import os
import pickle
import weakref
from typing import Any

import pytest

import millpond
from millpond import _engine, heap, sharedctypes
from millpond.context import BaseContext

CODES = sorted(sharedctypes.typecode_to_type)
INTEGERS = {"b": 8, "h": 16, "i": 32, "l": 64, "q": 64}


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


def run(context: BaseContext, function: Any, *args: Any) -> None:
    process = context.Process(target=function, args=args)
    process.start()
    process.join()
    assert process.exitcode == 0


def double(*shared: Any) -> None:
    for each in shared:
        if hasattr(each, "_fields_") or hasattr(each, "x"):
            each.x *= 2
            each.y *= 2
        elif hasattr(each, "value"):
            each.value *= 2
        else:
            for index in range(len(each)):
                each[index] *= 2


@pytest.mark.parametrize("lock", [True, False])
def test_a_child_changes_them(context: BaseContext, lock: bool) -> None:
    number, ratio = context.Value("i", 7, lock=lock), context.Value(ctypes.c_double, 0.5, lock=lock)
    point = context.Value(Point, 3, 2.5, lock=lock)
    array = context.Array("q", range(5), lock=lock)
    text = context.Array("c", 20, lock=lock)
    text.value = b"hello"
    run(context, double, number, ratio, point, array, text)
    assert (number.value, ratio.value, point.x, point.y) == (14, 1.0, 6, 5.0)
    assert (array[:], text.value) == ([0, 2, 4, 6, 8], b"hellohello")


def test_raw_ones_of_a_child(context: BaseContext) -> None:
    number, array = context.RawValue("i", 4), context.RawArray("d", [1.5, 2.5])
    run(context, double, number, array)
    assert (number.value, array[:]) == (8, [3.0, 5.0])


def add(value: Any, array: Any, count: int) -> None:
    for _ in range(count):
        value.add(1)
        array.add(1, 2)
        with value.get_lock():
            value.value += 1


def test_additions_of_processes_are_not_lost(context: BaseContext) -> None:
    value, array = context.Value("q"), context.Array("q", 3)
    processes = [context.Process(target=add, args=(value, array, 500)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (value.value, array[:]) == (3000, [0, 3000, 0])


def test_an_argument_of_a_task(context: BaseContext) -> None:
    value = context.RawValue("i", 3)
    with context.Pool(1) as pool:
        pool.apply(double, (value,))
        assert value.value == 6


def test_a_result_of_a_task(context: BaseContext) -> None:
    with context.Pool(1) as pool:
        array = pool.apply(sharedctypes.RawArray, ("i", [1, 2, 3]))
        pool.apply(double, (array,))
    assert list(array) == [2, 4, 6]


def test_a_message_of_a_pipe_is_the_same_memory() -> None:
    receiver, sender = millpond.Pipe(duplex=False)
    with receiver, sender:
        value = millpond.RawValue("i", 1)
        sender.send(value)
        received = receiver.recv()
    received.value = 5
    assert (type(received), value.value) == (ctypes.c_int, 5)


def test_ordinary_objects_of_ctypes_travel_as_before() -> None:
    millpond.RawValue("i", 1)
    copy = pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(ctypes.c_int(3)))
    assert (type(copy), copy.value) == (ctypes.c_int, 3)


@pytest.mark.parametrize("code", CODES)
def test_codes_have_the_types_of_the_standard_library(code: str) -> None:
    stdlib = vars(multiprocessing.sharedctypes)["typecode_to_type"]
    assert sharedctypes.typecode_to_type[code] is stdlib[code]
    assert type(millpond.RawValue(code)) is stdlib[code]
    assert type(millpond.Value(code).get_obj()) is stdlib[code]


@pytest.mark.parametrize("code", sorted(INTEGERS))
def test_sums_of_integers_wrap_around_as_in_ctypes(code: str) -> None:
    bits = INTEGERS[code]
    value = millpond.Value(code, 2 ** (bits - 1) - 1)
    assert value.add(1) == value.value == -(2 ** (bits - 1))
    assert value.add(2**bits + 5) == -(2 ** (bits - 1)) + 5
    unsigned = millpond.Value(code.upper(), 0)
    assert unsigned.add(-1) == unsigned.value == 2**bits - 1
    assert unsigned.add(2) == 1
    assert unsigned.add(-(2**200) - 1) == 0


def test_sums_of_floats_have_the_precision_of_the_type() -> None:
    single, double_ = millpond.Value("f"), millpond.Value("d", 1)
    assert single.add(0.1) == single.value == ctypes.c_float(0.1).value
    assert double_.add(0.1) == 1.1
    assert double_.add(2) == 3.1
    assert double_.add(True) == 4.1


@pytest.mark.parametrize("code", ["i", "Q", "d"])
@pytest.mark.parametrize("amount", ["1", None, b"", [], 1j])
def test_what_cannot_be_added(code: str, amount: object) -> None:
    value = millpond.Value(code, 3)
    with pytest.raises(TypeError):
        value.add(amount)
    assert value.value == 3
    assert value.add(1) == 4
    assert value.get_lock().acquire(block=False)
    value.get_lock().release()


def test_a_fraction_is_not_added_to_an_integer() -> None:
    value = millpond.Value("i", 3)
    with pytest.raises(TypeError):
        value.add(0.5)  # type: ignore[arg-type]
    assert value.value == 3


def test_no_sums_of_characters() -> None:
    with pytest.raises(TypeError):
        millpond.Value("c", b"a").add(1)  # type: ignore[arg-type]


def test_add_to_an_element() -> None:
    array = millpond.Array("h", [1, 2, 3])
    assert array.add(0, 5) == 6
    assert array.add(-1, 32767) == -32766
    for index in (3, -4, 2**62, -(2**62)):
        with pytest.raises(IndexError):
            array.add(index, 1)
    with pytest.raises(TypeError):
        array.add(0, "1")  # type: ignore[arg-type]
    assert array[:] == [6, 2, -32766]


def test_add_holds_the_lock() -> None:
    """Whoever holds the lock already may add; the lock is held as often as before."""
    value = millpond.Value("i")
    with value.get_lock(), value.get_lock():
        assert value.add(3) == 3
    with pytest.raises(AssertionError):
        value.get_lock().release()


@pytest.mark.parametrize("make_lock", [millpond.Lock, millpond.RLock, multiprocessing.RLock])
def test_a_lock_of_the_program_s(make_lock: Any) -> None:
    lock = make_lock()
    value = millpond.Value("i", 1, lock=lock)
    assert value.get_lock() is lock
    value.value += 1
    assert value.add(2) == value.value == 4
    with value:
        assert not lock.acquire(block=False) if make_lock is millpond.Lock else True
    array = millpond.Array("i", 2, lock=lock)
    array[0] += 1
    assert array.add(0, 2) == 3


@pytest.mark.parametrize("value", [3, -1, 2**40, True])
@pytest.mark.parametrize("code", ["b", "B", "i", "q", "Q", "d", "f"])
def test_values_are_those_of_ctypes(code: str, value: int) -> None:
    plain, shared = sharedctypes.typecode_to_type[code](), millpond.Value(code)
    plain.value = shared.value = value
    assert shared.value == plain.value
    assert type(shared.value) is type(plain.value)


def assigned(number: Any, value: object) -> Exception | None:
    """Assign a value; return what that raised."""
    try:
        number.value = value
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("code", ["b", "i", "Q", "d", "f", "c"])
@pytest.mark.parametrize("value", ["1", None, 1.5, 2**200, b"xy", object()])
def test_wrong_values_are_refused_as_by_ctypes(code: str, value: object) -> None:
    plain, shared = sharedctypes.typecode_to_type[code](), millpond.Value(code)
    before = shared.value
    expected, actual = assigned(plain, value), assigned(shared, value)
    assert (type(actual), str(actual)) == (type(expected), str(expected))
    assert shared.value == (plain.value if expected is None else before)
    assert shared.get_lock().acquire(block=False)
    shared.get_lock().release()


class Index:
    def __index__(self) -> int:
        return 7


def test_what_converts_itself() -> None:
    value = millpond.Value("d")
    value.value = Index()  # type: ignore[assignment]
    assert value.value == 7.0


def test_wrappers_look_like_those_of_the_standard_library() -> None:
    value, text = millpond.Value("i", 3), millpond.Array("c", b"abc")
    assert repr(value) == "<Synchronized wrapper for c_int(3)>"
    assert repr(text).startswith("<SynchronizedString wrapper for <")
    assert repr(millpond.Array("i", 1)).startswith("<SynchronizedArray wrapper for <")
    assert repr(millpond.Value(Point)).startswith("<SynchronizedPoint wrapper for <")
    assert isinstance(value, sharedctypes.Synchronized)
    assert isinstance(text, sharedctypes.SynchronizedArray)
    assert type(value).__name__ == "Synchronized"
    assert value.get_obj().value == 3
    assert value.acquire() is True
    value.release()
    assert (text.raw, text.value, len(text), text[1:]) == (b"abc", b"abc", 3, b"bc")


def test_copy() -> None:
    point = Point(2, 5.0)
    copied = sharedctypes.copy(point)
    point.x = 0
    assert (type(copied), copied.x, copied.y) == (Point, 2, 5.0)
    shared = sharedctypes.copy(millpond.RawArray("i", [1, 2]))
    assert shared[:] == [1, 2]


def test_synchronized() -> None:
    value = sharedctypes.synchronized(ctypes.c_int(3))
    assert (type(value), value.value) == (sharedctypes.Synchronized, 3)
    assert value.add(2) == 5
    with pytest.raises(AssertionError, match="object already synchronized"):
        sharedctypes.synchronized(value)  # type: ignore[call-overload]


def test_parts_keep_the_memory() -> None:
    """A field, a view, a pointer: what refers to the memory keeps it mapped."""
    points = millpond.RawArray(Point, 3)
    points[1].y = 2.5
    last, view, pointer = points[1], memoryview(points), ctypes.pointer(points)
    del points
    gc.collect()
    others = [millpond.RawArray(Point, 3) for _ in range(100)]
    assert (last.y, pointer.contents[1].y, view.nbytes) == (2.5, 2.5, 3 * ctypes.sizeof(Point))
    del others


def test_memory_is_zero_when_it_is_used_again() -> None:
    for _ in range(1000):
        array = millpond.RawArray("b", 200)
        assert not any(array)
        array[:] = [1] * 200


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 100_000])
def test_buffers(size: int) -> None:
    wrapper = heap.BufferWrapper(size)
    view = wrapper.create_memoryview()
    assert (view.nbytes, view.format, view.readonly) == (size, "B", False)
    view[:] = bytes(range(size % 256)) + bytes(size - size % 256)
    assert wrapper.create_memoryview() == view
    gone = weakref.ref(wrapper)
    del wrapper
    assert gone() is None
    assert view[:1] == bytes(min(size, 1))


def test_a_thousand_values_do_not_cost_a_thousand_descriptors() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    values = [millpond.Value("d", lock=False) for _ in range(1000)]
    arrays = [millpond.RawArray("d", 200) for _ in range(200)]
    assert descriptors() - before < 30
    del values, arrays
    gc.collect()
    # One slab of each size is kept to allocate from.
    assert descriptors() - before <= 3


@pytest.mark.parametrize("code", sorted(set(CODES) - set("cu")))
def test_the_engine_has_the_numbers(code: str) -> None:
    """Otherwise they work as well, but slowly."""
    assert isinstance(millpond.Value(code), _engine.GuardedNumber)
    millpond.install()
    try:
        assert isinstance(multiprocessing.Value(code), _engine.GuardedNumber)
        assert isinstance(multiprocessing.Array(code, 2), _engine.GuardedNumbers)
    finally:
        millpond.uninstall()


def change(value: Any) -> Any:
    with value.get_lock():
        value.value += 1
    return value


def test_a_value_goes_where_its_lock_may(context: BaseContext) -> None:
    value, queue = context.Value("i", 1), context.SimpleQueue()
    queue.put(value)
    received = queue.get()
    assert change(received).value == value.value == 2
    assert value.acquire()
    assert received.get_lock().acquire(False)  # it is the same owner
    with context.Pool(1) as pool:
        value.release()
        received.release()
        returned = pool.apply(change, (value,))
    assert change(returned).value == value.value == 4
    guarded = context.Value("i", 1, lock=multiprocessing.RLock())
    with pytest.raises(RuntimeError, match="through inheritance"):
        queue.put(guarded)


def test_memory_comes_from_no_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.BufferWrapper, "_heap", None, raising=False)
    assert heap.BufferWrapper(100).create_memoryview().nbytes == 100
    assert millpond.Value("i", 3).value == 3


@pytest.mark.parametrize("make", [millpond.RawArray, millpond.Array])
def test_more_than_the_machine_has(make: Any) -> None:
    with pytest.raises(MemoryError):
        make("b", 1 << 44)
    assert make("b", 2)[:] == [0, 0]


@pytest.mark.parametrize("kind", ["i", "c", ctypes.c_ubyte, Point])
@pytest.mark.parametrize("what", ["Value", "Array"])
def test_pickle_alone_is_enough(what: str, kind: Any) -> None:
    made = millpond.Array(kind, 3) if what == "Array" else millpond.Value(kind)
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is type(made)
    assert bytes(copy.get_obj()) == bytes(made.get_obj())
    ctypes.memset(ctypes.addressof(copy.get_obj()), 1, 1)
    assert bytes(made.get_obj())[0] == 1
    with made.get_lock():
        assert copy.get_lock()._semlock._count() == 1
