"""Objects of ctypes in anonymous shared memory, with or without a lock: `multiprocessing`'s names.

They travel between processes in any way that pickles what `multiprocessing` can send: as arguments
of processes and of tasks, in queues and through pipes. The memory is gone when the last process
that has it lets go.

Example:
    >>> import millpond
    >>> hits = millpond.Value("q")
    >>> hits.add(3)
    3
    >>> with hits.get_lock():
    ...     hits.value *= 2
    >>> hits.value
    6
"""

from __future__ import annotations

import ctypes
import weakref
from multiprocessing.context import assert_spawning
from multiprocessing.reduction import ForkingPickler

from millpond._version import load_engine
from millpond.heap import BufferWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from millpond._engine import GuardedNumber, GuardedNumbers, RLock
else:
    _engine = load_engine()
    GuardedNumber, GuardedNumbers, RLock = (
        _engine.GuardedNumber, _engine.GuardedNumbers, _engine.RLock
    )  # fmt: skip

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

typecode_to_type: dict[Any, Any] = {
    "c": ctypes.c_char,
    "u": ctypes.c_wchar,
    "b": ctypes.c_byte,
    "B": ctypes.c_ubyte,
    "h": ctypes.c_short,
    "H": ctypes.c_ushort,
    "i": ctypes.c_int,
    "I": ctypes.c_uint,
    "l": ctypes.c_long,
    "L": ctypes.c_ulong,
    "q": ctypes.c_longlong,
    "Q": ctypes.c_ulonglong,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


def RawValue(typecode_or_type: Any, *args: Any) -> Any:
    """Return an object of ctypes in shared memory, without a lock.

    Args:
        typecode_or_type: a type of ctypes, or the code of one as in the module `array`.
        args: what its constructor takes.

    Raises:
        TypeError: there is no such type, or its constructor does not take these.
    """
    value = _new_value(_type_of(typecode_or_type))
    value.__init__(*args)
    return value


def RawArray(typecode_or_type: Any, size_or_initializer: int | Sequence[Any]) -> Any:
    """Return an array of ctypes in shared memory, without a lock.

    Args:
        typecode_or_type: the type of its elements, as for `RawValue`.
        size_or_initializer: how many elements, which are then zero, or what they are.

    Raises:
        TypeError: there is no such type, or the elements are not of it.
        ValueError: the size is negative.
        MemoryError: it is more than this machine has.
    """
    kind = _type_of(typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new_value(kind * size_or_initializer)
    array = _new_value(kind * len(size_or_initializer))
    array.__init__(*size_or_initializer)
    return array


def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """Return an object of ctypes in shared memory, guarded by a lock.

    Args:
        typecode_or_type: a type of ctypes, or the code of one as in the module `array`.
        args: what its constructor takes.
        lock: True for a new recursive lock, False for none, or a lock.
        ctx: the context that the new lock comes from.

    Returns:
        A wrapper (`Synchronized` and its like), or what `RawValue` returns if `lock` is False.

    Raises:
        TypeError: there is no such type, or its constructor does not take these.
        AttributeError: the lock is none.
    """
    return _guarded(RawValue(typecode_or_type, *args), lock, ctx)


def Array(
    typecode_or_type: Any,
    size_or_initializer: int | Sequence[Any],
    *,
    lock: Any = True,
    ctx: Any = None,
) -> Any:
    """Return an array of ctypes in shared memory, guarded by a lock.

    Args:
        typecode_or_type: the type of its elements, as for `Value`.
        size_or_initializer: how many elements, which are then zero, or what they are.
        lock: as for `Value`.
        ctx: as for `Value`.

    Returns:
        A wrapper (`SynchronizedArray`, or `SynchronizedString` of characters), or what `RawArray`
        returns if `lock` is False.

    Raises:
        TypeError: there is no such type, or the elements are not of it.
        ValueError: the size is negative.
        MemoryError: it is more than this machine has.
        AttributeError: the lock is none.
    """
    return _guarded(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def copy(obj: Any) -> Any:
    """Return a copy, in shared memory of its own, of an object of ctypes."""
    new = _new_value(type(obj))
    ctypes.pointer(new)[0] = obj
    return new


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> SynchronizedBase:
    """Return a wrapper that guards an object of ctypes with a lock.

    Args:
        obj: the object; in shared memory, if the wrapper is to be.
        lock: the lock; a new recursive one by default.
        ctx: the context that the new lock comes from.
    """
    assert not isinstance(obj, SynchronizedBase), "object already synchronized"
    lock = lock or _new_lock(ctx)
    if isinstance(obj, ctypes._SimpleCData):
        return (_Number if _is_for_engine(obj, lock) else Synchronized)(obj, lock, ctx)
    if isinstance(obj, ctypes.Array):
        if obj._type_ is ctypes.c_char:
            return SynchronizedString(obj, lock, ctx)
        return (_Numbers if _is_for_engine(obj, lock) else SynchronizedArray)(obj, lock, ctx)
    return _wrapper_class(type(obj))(obj, lock, ctx)


def _type_of(typecode_or_type: Any) -> Any:
    try:
        kind = typecode_to_type.get(typecode_or_type, typecode_or_type)
        ctypes.sizeof(kind)
    except TypeError:
        codes = ", ".join(map(repr, typecode_to_type))
        raise TypeError(
            f"{typecode_or_type!r} is neither a type of ctypes nor the code of one ({codes})"
        ) from None
    return kind


def _new_value(kind: Any) -> Any:
    return rebuild_ctype(kind, BufferWrapper(ctypes.sizeof(kind)), None)


def _new_lock(ctx: Any) -> Any:
    if ctx is None:
        from millpond.context import _default_context

        ctx = _default_context
    return ctx.RLock()


def _guarded(obj: Any, lock: Any, ctx: Any) -> Any:
    if lock is False:
        return obj
    if lock is True or lock is None:
        lock = _new_lock(ctx)
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx)


def reduce_ctype(obj: Any) -> Any:
    """Return how an object of ctypes is pickled: shared, if it lies in shared memory."""
    wrapper = getattr(obj, "_wrapper", None)
    if wrapper is None:
        # Pickle looks reducers up by the type, of which there may be ordinary objects too.
        return obj.__reduce__()
    if not isinstance(wrapper, BufferWrapper):
        assert_spawning(obj)
    if isinstance(obj, ctypes.Array):
        return rebuild_ctype, (obj._type_, wrapper, obj._length_)
    return rebuild_ctype, (type(obj), wrapper, None)


def rebuild_ctype(kind: Any, wrapper: Any, length: int | None) -> Any:
    """Return the object of ctypes, or the array of some length of them, that lies in memory."""
    if length is not None:
        kind = kind * length
    ForkingPickler.register(kind, reduce_ctype)
    if isinstance(wrapper, BufferWrapper):
        obj = kind.from_address(wrapper.memory.address)
    else:
        obj = kind.from_buffer(wrapper.create_memoryview())
    # What is made over the object (its fields, views of it) keeps the object, and that the memory.
    obj._wrapper = wrapper
    return obj


def make_property(name: str) -> property:
    """Return a property that reads and writes an attribute of the wrapped object, locked."""

    def read(self: SynchronizedBase) -> Any:
        self.acquire()
        try:
            return getattr(self._obj, name)
        finally:
            self.release()

    def write(self: SynchronizedBase, value: Any) -> None:
        self.acquire()
        try:
            setattr(self._obj, name, value)
        finally:
            self.release()

    return property(read, write)


class SynchronizedBase:
    """Guards an object of ctypes with a lock: what all wrappers have in common."""

    def __init__(self, obj: Any, lock: Any = None, ctx: Any = None) -> None:
        self._obj = obj
        self._lock = lock or _new_lock(ctx)
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *args: object) -> Any:
        return self._lock.__exit__(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return synchronized, (self._obj, self._lock)

    def get_obj(self) -> Any:
        """Return the object, to be used without the lock or with `get_lock()` held."""
        return self._obj

    def get_lock(self) -> Any:
        """Return the lock."""
        return self._lock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wrapper for {self._obj}>"


class Synchronized(SynchronizedBase):
    """Guards a number, a character or another simple object of ctypes."""

    value = make_property("value")

    def add(self, amount: Any) -> Any:
        """Add to the value under its lock, and return the sum.

        The sum is as ctypes stores it: integers wrap around.

        Raises:
            TypeError: the value is no number, or the amount is not one that it takes.
            OwnerDied: the process that held the lock died. Nothing was added, the value is as that
                one left it, and the lock is free again.
        """
        with self:
            self._obj.value += amount
            return self._obj.value


class _Number(GuardedNumber, Synchronized):
    """A number in shared memory whose lock is millpond's: the engine does it all."""

    def __new__(cls, obj: Any, lock: Any, ctx: Any) -> Self:
        return super().__new__(cls, obj, lock, obj._wrapper.memory, obj._type_)


# It is what `Synchronized` is, but faster.
_Number.__name__, _Number.__qualname__ = "Synchronized", "Synchronized"

_NUMBERS = frozenset(kind for code, kind in typecode_to_type.items() if code not in "cu")


def _is_for_engine(obj: Any, lock: Any) -> bool:
    kind = obj._type_ if isinstance(obj, ctypes.Array) else type(obj)
    return (
        kind in _NUMBERS
        and isinstance(getattr(obj, "_wrapper", None), BufferWrapper)
        and isinstance(lock, RLock)
        # A subclass may do something else besides.
        and type(lock).acquire is RLock.acquire
        and type(lock).release is RLock.release
    )


class SynchronizedArray(SynchronizedBase):
    """Guards an array of ctypes. Each access of an element or of a slice takes the lock."""

    def __len__(self) -> int:
        return len(self._obj)

    def __getitem__(self, index: Any) -> Any:
        with self:
            return self._obj[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        with self:
            self._obj[index] = value

    def __getslice__(self, start: int, stop: int) -> Any:
        with self:
            return self._obj[start:stop]

    def __setslice__(self, start: int, stop: int, values: Any) -> None:
        with self:
            self._obj[start:stop] = values

    def add(self, index: int, amount: Any) -> Any:
        """Add to one element under the lock, and return the sum; see `Synchronized.add`.

        Raises:
            IndexError: there is no such element.
        """
        with self:
            self._obj[index] += amount
            return self._obj[index]


class _Numbers(GuardedNumbers, SynchronizedArray):
    """An array of numbers in shared memory whose lock is millpond's: the engine adds."""

    def __new__(cls, obj: Any, lock: Any, ctx: Any) -> Self:
        return super().__new__(cls, len(obj), lock, obj._wrapper.memory, obj._type_._type_)


_Numbers.__name__, _Numbers.__qualname__ = "SynchronizedArray", "SynchronizedArray"


class SynchronizedString(SynchronizedArray):
    """Guards an array of characters."""

    value = make_property("value")
    raw = make_property("raw")


_wrapper_classes: weakref.WeakKeyDictionary[Any, type[SynchronizedBase]] = (
    weakref.WeakKeyDictionary()
)


def _wrapper_class(kind: Any) -> type[SynchronizedBase]:
    """Return the wrapper class for a structure, which has the structure's fields as properties."""
    try:
        return _wrapper_classes[kind]
    except KeyError:
        fields = {field[0]: make_property(field[0]) for field in kind._fields_}
        wrapper = type("Synchronized" + kind.__name__, (SynchronizedBase,), fields)
        _wrapper_classes[kind] = wrapper
        return wrapper
