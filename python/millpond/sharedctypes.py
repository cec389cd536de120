"""ctypes objects in anonymous shared memory, with or without a lock, as in `multiprocessing`.

They can be passed as arguments of processes and of tasks, in queues and through pipes. The memory
is freed when no process refers to it any more.

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

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._generic import Generic, Parameter
from millpond.heap import BufferWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _ctypes import _CData
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from ctypes import _SimpleCData
    from multiprocessing.context import BaseContext
    from typing import Any, Literal, Self, SupportsIndex, TypeAlias, overload

    from typing_extensions import TypeVar

    from millpond._engine import GuardedNumber, GuardedNumbers, RLock
    from millpond.synchronize import Acquire, LockLike

    # Without a parameter, a class is one of `Any`, as in programs that were written without types.
    T = TypeVar("T", default=Any)
    CData: TypeAlias = _CData
    SimpleCData: TypeAlias = _SimpleCData[T]
    CT = TypeVar("CT", bound=CData, default=Any)
    IntCode: TypeAlias = Literal["b", "B", "h", "H", "i", "I", "l", "L", "q", "Q"]
    FloatCode: TypeAlias = Literal["f", "d"]
    Locking: TypeAlias = Literal[True] | LockLike
else:
    T = CT = Parameter
    CData = SimpleCData = Generic
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


if TYPE_CHECKING:

    @overload
    def RawValue(typecode_or_type: IntCode, *args: Any) -> SimpleCData[int]: ...
    @overload
    def RawValue(typecode_or_type: FloatCode, *args: Any) -> SimpleCData[float]: ...
    @overload
    def RawValue(typecode_or_type: Literal["c"], *args: Any) -> SimpleCData[bytes]: ...
    @overload
    def RawValue(typecode_or_type: Literal["u"], *args: Any) -> SimpleCData[str]: ...
    @overload
    def RawValue(typecode_or_type: type[CT], *args: Any) -> CT: ...
    @overload
    def RawValue(typecode_or_type: str, *args: Any) -> Any: ...


def RawValue(typecode_or_type: Any, *args: Any) -> Any:
    """Return a ctypes object in shared memory, without a lock.

    Args:
        typecode_or_type: a ctypes type, or a one-letter type code as of the module `array`.
        args: arguments of the type's constructor.

    Raises:
        TypeError: there is no such type, or its constructor does not take *args*.
    """
    value = _new_value(_type_of(typecode_or_type))
    value.__init__(*args)
    return value


if TYPE_CHECKING:

    @overload
    def RawArray(
        typecode_or_type: Literal["c"], size_or_initializer: int | Sequence[Any]
    ) -> ctypes.Array[ctypes.c_char]: ...
    @overload
    def RawArray(
        typecode_or_type: type[CT], size_or_initializer: int | Sequence[Any]
    ) -> ctypes.Array[CT]: ...
    @overload
    def RawArray(
        typecode_or_type: str, size_or_initializer: int | Sequence[Any]
    ) -> ctypes.Array[Any]: ...


def RawArray(typecode_or_type: Any, size_or_initializer: int | Sequence[Any]) -> Any:
    """Return a ctypes array in shared memory, without a lock.

    Args:
        typecode_or_type: the type of the elements, as for `RawValue`.
        size_or_initializer: the number of elements, which are then zero, or the elements.

    Raises:
        TypeError: there is no such type, or the elements are not of it.
        ValueError: the size is negative.
        MemoryError: the array is larger than this machine's memory.
    """
    kind = _type_of(typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new_value(kind * size_or_initializer)
    array = _new_value(kind * len(size_or_initializer))
    array.__init__(*size_or_initializer)
    return array


if TYPE_CHECKING:

    @overload
    def Value(
        typecode_or_type: IntCode,
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[int]: ...
    @overload
    def Value(
        typecode_or_type: FloatCode,
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[float]: ...
    @overload
    def Value(
        typecode_or_type: Literal["c"],
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[bytes]: ...
    @overload
    def Value(
        typecode_or_type: Literal["u"],
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[str]: ...
    @overload
    def Value(
        typecode_or_type: type[SimpleCData[T]],
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[T]: ...
    @overload
    def Value(
        typecode_or_type: type[CT],
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedBase[CT]: ...
    @overload
    def Value(
        typecode_or_type: IntCode,
        *args: Any,
        lock: Literal[False],
        ctx: BaseContext | None = None,
    ) -> SimpleCData[int]: ...
    @overload
    def Value(
        typecode_or_type: FloatCode,
        *args: Any,
        lock: Literal[False],
        ctx: BaseContext | None = None,
    ) -> SimpleCData[float]: ...
    @overload
    def Value(
        typecode_or_type: type[CT],
        *args: Any,
        lock: Literal[False],
        ctx: BaseContext | None = None,
    ) -> CT: ...
    @overload
    def Value(
        typecode_or_type: str,
        *args: Any,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> Synchronized[Any]: ...
    @overload
    def Value(
        typecode_or_type: str | type[CData],
        *args: Any,
        lock: bool | LockLike = True,
        ctx: BaseContext | None = None,
    ) -> Any: ...


def Value(typecode_or_type: Any, *args: Any, lock: Any = True, ctx: Any = None) -> Any:
    """Return a ctypes object in shared memory, guarded by a lock.

    Args:
        typecode_or_type: a ctypes type, or a one-letter type code as of the module `array`.
        args: arguments of the type's constructor.
        lock: True for a new `RLock`, False for no lock, or the `Lock` or `RLock` to use.
        ctx: the context that makes the new lock.

    Returns:
        A wrapper (`Synchronized` or another subclass of `SynchronizedBase`); if *lock* is False,
        what `RawValue` returns.

    Raises:
        TypeError: there is no such type, or its constructor does not take *args*.
        AttributeError: *lock* has no `acquire()` method.
    """
    return _guarded(RawValue(typecode_or_type, *args), lock, ctx)


if TYPE_CHECKING:

    @overload
    def Array(
        typecode_or_type: IntCode,
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[int]: ...
    @overload
    def Array(
        typecode_or_type: FloatCode,
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[float]: ...
    @overload
    def Array(
        typecode_or_type: Literal["c"] | type[ctypes.c_char],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedString: ...
    @overload
    def Array(
        typecode_or_type: Literal["u"],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[str]: ...
    @overload
    def Array(
        typecode_or_type: type[SimpleCData[T]],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[T]: ...
    @overload
    def Array(
        typecode_or_type: type[CT],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Literal[False],
        ctx: BaseContext | None = None,
    ) -> ctypes.Array[CT]: ...
    @overload
    def Array(
        typecode_or_type: str,
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Literal[False],
        ctx: BaseContext | None = None,
    ) -> ctypes.Array[Any]: ...
    @overload
    def Array(
        typecode_or_type: str | type[CData],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: Locking = True,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[Any]: ...
    @overload
    def Array(
        typecode_or_type: str | type[CData],
        size_or_initializer: int | Sequence[Any],
        *,
        lock: bool | LockLike = True,
        ctx: BaseContext | None = None,
    ) -> Any: ...


def Array(
    typecode_or_type: Any,
    size_or_initializer: int | Sequence[Any],
    *,
    lock: Any = True,
    ctx: Any = None,
) -> Any:
    """Return a ctypes array in shared memory, guarded by a lock.

    Args:
        typecode_or_type: the type of the elements, as for `Value`.
        size_or_initializer: the number of elements, which are then zero, or the elements.
        lock: as for `Value`.
        ctx: as for `Value`.

    Returns:
        A wrapper (`SynchronizedArray`, or `SynchronizedString` of characters); if *lock* is False,
        what `RawArray` returns.

    Raises:
        TypeError: there is no such type, or the elements are not of it.
        ValueError: the size is negative.
        MemoryError: the array is larger than this machine's memory.
        AttributeError: *lock* has no `acquire()` method.
    """
    return _guarded(RawArray(typecode_or_type, size_or_initializer), lock, ctx)


def copy(obj: CT) -> CT:
    """Return a copy of a ctypes object, in shared memory of its own."""
    new = _new_value(type(obj))
    ctypes.pointer(new)[0] = obj
    copied: CT = new
    return copied


if TYPE_CHECKING:

    @overload
    def synchronized(
        obj: SimpleCData[T], lock: LockLike | None = None, ctx: BaseContext | None = None
    ) -> Synchronized[T]: ...
    @overload
    def synchronized(
        obj: ctypes.Array[ctypes.c_char],
        lock: LockLike | None = None,
        ctx: BaseContext | None = None,
    ) -> SynchronizedString: ...
    @overload
    def synchronized(
        obj: ctypes.Array[SimpleCData[T]],
        lock: LockLike | None = None,
        ctx: BaseContext | None = None,
    ) -> SynchronizedArray[T]: ...
    @overload
    def synchronized(
        obj: CT, lock: LockLike | None = None, ctx: BaseContext | None = None
    ) -> SynchronizedBase[CT]: ...


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> SynchronizedBase[Any]:
    """Return a wrapper that guards a ctypes object with a lock.

    Args:
        obj: the object, in shared memory if processes are to share it.
        lock: the `Lock` or `RLock` to use; by default, a new `RLock`.
        ctx: the context that makes the new lock.

    Raises:
        AssertionError: *obj* is such a wrapper.
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
            f"bad typecode {typecode_or_type!r} (must be a ctypes type or one of {codes})"
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
    """Return the pickle state of a ctypes object: a handle if it is in shared memory."""
    wrapper = getattr(obj, "_wrapper", None)
    if wrapper is None:
        # Pickle looks reducers up by the type, of which there may be ordinary objects too.
        return obj.__reduce__()
    if not isinstance(wrapper, BufferWrapper):
        assert_spawning(obj)
    if isinstance(obj, ctypes.Array):
        return rebuild_ctype, (obj._type_, wrapper, obj._length_)
    return rebuild_ctype, (type(obj), wrapper, None)


def rebuild_ctype(type_: Any, wrapper: Any, length: int | None) -> Any:
    """Return the ctypes object in some memory; with *length*, an array of that many."""
    if length is not None:
        type_ = type_ * length
    ForkingPickler.register(type_, reduce_ctype)
    if isinstance(wrapper, BufferWrapper):
        obj = type_.from_address(wrapper.memory.address)
    else:
        obj = type_.from_buffer(wrapper.create_memoryview())
    # What is made over the object (its fields, views of it) keeps the object, and that the memory.
    obj._wrapper = wrapper
    return obj


def make_property(name: str) -> property:
    """Return a property for an attribute of the wrapped object, which takes the lock."""

    def read(self: SynchronizedBase[Any]) -> Any:
        self.acquire()
        try:
            return getattr(self._obj, name)
        finally:
            self.release()

    def write(self: SynchronizedBase[Any], value: Any) -> None:
        self.acquire()
        try:
            setattr(self._obj, name, value)
        finally:
            self.release()

    return property(
        read, write, doc=f"The attribute `{name}` of the object. Access takes the lock."
    )


def _rebuild_synchronized(rebuild: Any, parts: Any, lock: Any) -> SynchronizedBase[Any]:
    """Return the wrapper whose object `rebuild` makes of the parts."""
    wrapper: SynchronizedBase[Any] = synchronized(rebuild(*parts), lock)
    return wrapper


class SynchronizedBase(Generic[CT]):
    """A wrapper that guards a ctypes object with a lock: the base class of all of them.

    `acquire` and `release` are those of the lock, and `with` holds it.
    """

    if TYPE_CHECKING:
        acquire: Acquire
        release: Callable[[], None]

    def __init__(self, obj: Any, lock: Any = None, ctx: Any = None) -> None:
        self._obj = obj
        self._lock = lock or _new_lock(ctx)
        self.acquire = self._lock.acquire
        self.release = self._lock.release

    def __enter__(self) -> bool:
        """Acquire the lock for the `with` statement."""
        entered: bool = self._lock.__enter__()
        return entered

    def __exit__(self, *args: object) -> None:
        """Release the lock at the end of a `with` statement."""
        self._lock.__exit__(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        # `pickle.dumps` knows no reducer for the object: it is registered with ForkingPickler.
        rebuild, parts = reduce_ctype(self._obj)[:2]
        return _rebuild_synchronized, (rebuild, parts, self._lock)

    def get_obj(self) -> CT:
        """Return the ctypes object. Using it does not take the lock."""
        obj: CT = self._obj
        return obj

    def get_lock(self) -> LockLike:
        """Return the lock."""
        lock: LockLike = self._lock
        return lock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wrapper for {self._obj}>"


class Synchronized(SynchronizedBase[SimpleCData[T]], Generic[T]):
    """A number, a character or another simple ctypes object in shared memory, with a lock.

    Reading and writing `value` take the lock, one at a time: use `add`, or hold the lock for
    `v.value += 1`.
    """

    if TYPE_CHECKING:
        value: T
    else:
        value = make_property("value")

    def add(self, amount: T) -> T:
        """Add to the value under its lock, and return the sum.

        The sum is as ctypes stores it: integers wrap around.

        Raises:
            TypeError: the value is not a number, or *amount* is none of its kind.
            OwnerDied: the process that held the lock was killed or failed. Nothing was added, the
                value is as that process left it, and the lock is free again.
        """
        with self:
            self._obj.value += amount
            total: T = self._obj.value
            return total


class _Number(GuardedNumber, Synchronized[T]):  # type: ignore[misc]
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


class SynchronizedArray(SynchronizedBase[ctypes.Array[SimpleCData[T]]], Generic[T]):
    """A ctypes array in shared memory, with a lock that each access takes."""

    def __len__(self) -> int:
        return len(self._obj)

    if TYPE_CHECKING:
        # Iteration works by `__getitem__`, of which type checkers do not know.
        def __iter__(self) -> Iterator[T]: ...

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: SupportsIndex) -> T: ...
        @overload
        def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: Any) -> Any:
        """Return an element, or a slice as a list, under the lock."""
        with self:
            return self._obj[index]

    if TYPE_CHECKING:

        @overload
        def __setitem__(self, index: SupportsIndex, value: T) -> None: ...
        @overload
        def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...

    def __setitem__(self, index: Any, value: Any) -> None:
        """Replace an element, or as many as a slice has, under the lock."""
        with self:
            self._obj[index] = value

    def __getslice__(self, start: int, stop: int) -> Any:
        with self:
            return self._obj[start:stop]

    def __setslice__(self, start: int, stop: int, values: Any) -> None:
        with self:
            self._obj[start:stop] = values

    def add(self, index: int, amount: T) -> T:
        """Add to one element under the lock, and return the sum; see `Synchronized.add`.

        Raises:
            IndexError: there is no such element.
            TypeError: the elements are not numbers, or *amount* is none of their kind.
            OwnerDied: as for `Synchronized.add`.
        """
        with self:
            self._obj[index] += amount
            total: T = self._obj[index]
            return total


class _Numbers(GuardedNumbers, SynchronizedArray[T]):  # type: ignore[misc]
    """An array of numbers in shared memory whose lock is millpond's: the engine adds."""

    def __new__(cls, obj: Any, lock: Any, ctx: Any) -> Self:
        return super().__new__(cls, len(obj), lock, obj._wrapper.memory, obj._type_._type_)


_Numbers.__name__, _Numbers.__qualname__ = "SynchronizedArray", "SynchronizedArray"


class SynchronizedString(SynchronizedArray[bytes]):
    """An array of characters in shared memory, with a lock that each access takes.

    `value` is the text up to the first zero byte, `raw` all bytes.
    """

    if TYPE_CHECKING:
        value: bytes
        raw: bytes

        def __getitem__(self, index: SupportsIndex | slice) -> bytes: ...  # type: ignore[override]
        def __setitem__(  # type: ignore[override]
            self, index: SupportsIndex | slice, value: bytes
        ) -> None: ...
    else:
        value = make_property("value")
        raw = make_property("raw")


_wrapper_classes: weakref.WeakKeyDictionary[Any, type[SynchronizedBase[Any]]] = (
    weakref.WeakKeyDictionary()
)


def _wrapper_class(kind: Any) -> type[SynchronizedBase[Any]]:
    """Return the wrapper class for a structure, which has the structure's fields as properties."""
    try:
        return _wrapper_classes[kind]
    except KeyError:
        fields = {field[0]: make_property(field[0]) for field in kind._fields_}
        wrapper = type("Synchronized" + kind.__name__, (SynchronizedBase,), fields)
        # Another thread may have made one meanwhile; all get the first.
        return _wrapper_classes.setdefault(kind, wrapper)


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
