"""Types of `Value`, `Array` and their kin."""

from __future__ import annotations

import ctypes
from typing import Any, assert_type

import millpond
import millpond.sharedctypes
from millpond.sharedctypes import (
    Synchronized,
    SynchronizedArray,
    SynchronizedBase,
    SynchronizedString,
    copy,
    synchronized,
)
from millpond.synchronize import RLock


class Point(ctypes.Structure):
    """A structure of the program's own."""

    _fields_ = (("x", ctypes.c_double), ("y", ctypes.c_double))


def values() -> None:
    integer = millpond.Value("i", 3)
    assert_type(integer, Synchronized[int])
    assert_type(integer.value, int)
    integer.value = 4
    assert_type(integer.add(1), int)
    assert_type(integer.acquire(True, 1.0), bool)
    assert_type(integer.release(), None)
    with integer.get_lock():
        integer.value += 1
    with integer as is_held:
        assert_type(is_held, bool)
    assert_type(millpond.Value("d").value, float)
    assert_type(millpond.Value("c", b"x").value, bytes)
    assert_type(millpond.Value("u", "x").value, str)
    assert_type(millpond.Value(ctypes.c_int, 3), Synchronized[int])
    assert_type(millpond.Value(ctypes.c_bool), Synchronized[bool])
    assert_type(millpond.Value(ctypes.c_double).value, float)
    assert_type(millpond.Value(Point, 1.0, 2.0), SynchronizedBase[Point])
    assert_type(millpond.Value(Point).get_obj(), Point)


def locks_of_values(code: str) -> None:
    assert_type(millpond.Value("i", lock=True), Synchronized[int])
    assert_type(millpond.Value("i", lock=millpond.RLock()), Synchronized[int])
    assert_type(millpond.Value(ctypes.c_int, lock=millpond.Lock()), Synchronized[int])
    assert_type(millpond.Value("i", 3, lock=False).value, int)
    assert_type(millpond.Value("f", lock=False).value, float)
    assert_type(millpond.Value(ctypes.c_short, lock=False), ctypes.c_short)
    assert_type(millpond.Value(Point, lock=False), Point)
    assert_type(millpond.Value(code), Synchronized[Any])


def arrays() -> None:
    numbers = millpond.Array("i", 10)
    assert_type(numbers, SynchronizedArray[int])
    assert_type(numbers[0], int)
    assert_type(numbers[2:4], list[int])
    numbers[0] = 1
    numbers[1:3] = [2, 3]
    assert_type(len(numbers), int)
    assert_type(numbers.add(0, 5), int)
    assert_type(list(numbers), list[int])
    assert_type(millpond.Array("d", [1.5, 2.5])[0], float)
    assert_type(millpond.Array("u", "text")[0], str)
    assert_type(millpond.Array(ctypes.c_long, 3), SynchronizedArray[int])
    assert_type(millpond.Array(ctypes.c_int, 3, lock=False), ctypes.Array[ctypes.c_int])
    assert_type(millpond.Array("i", 3, lock=False), ctypes.Array[Any])
    assert_type(millpond.Array("i", 3, lock=millpond.Lock()), SynchronizedArray[int])


def strings() -> None:
    text = millpond.Array("c", b"hello")
    assert_type(text, SynchronizedString)
    assert_type(text.value, bytes)
    assert_type(text.raw, bytes)
    assert_type(text[0], bytes)
    assert_type(text[1:3], bytes)
    text.value = b"bye"
    text[0] = b"B"
    assert_type(millpond.Array(ctypes.c_char, 5), SynchronizedString)


def raw_objects() -> None:
    assert_type(millpond.RawValue("i", 1).value, int)
    assert_type(millpond.RawValue("d").value, float)
    assert_type(millpond.RawValue("c").value, bytes)
    assert_type(millpond.RawValue("u").value, str)
    assert_type(millpond.RawValue(ctypes.c_int), ctypes.c_int)
    assert_type(millpond.RawValue(Point, 1, 2).x, Any)
    assert_type(millpond.RawArray(ctypes.c_int, 3), ctypes.Array[ctypes.c_int])
    assert_type(millpond.RawArray(Point, [(1, 2)]), ctypes.Array[Point])
    assert_type(millpond.RawArray("d", 3), ctypes.Array[Any])
    assert_type(millpond.RawArray("c", 3), ctypes.Array[ctypes.c_char])


def functions_of_the_module() -> None:
    context = millpond.get_context("spawn")
    assert_type(millpond.sharedctypes.Value("i", ctx=context), Synchronized[int])
    assert_type(millpond.sharedctypes.Array("d", 2, ctx=context), SynchronizedArray[float])
    assert_type(millpond.sharedctypes.RawValue(Point), Point)
    assert_type(millpond.sharedctypes.RawArray(Point, 2), ctypes.Array[Point])
    assert_type(context.Value("q"), Synchronized[int])
    assert_type(context.Array("f", 3), SynchronizedArray[float])


def wrapped(lock: RLock) -> None:
    assert_type(synchronized(ctypes.c_int(3)), Synchronized[int])
    assert_type(synchronized(Point(1, 2), lock), SynchronizedBase[Point])
    assert_type(copy(Point(1, 2)), Point)


def as_parameter(counter: Synchronized[int], names: SynchronizedArray[bytes]) -> None:
    assert_type(counter.value, int)
    assert_type(names[0], bytes)
