"""Values and functions as bytes, for what the engine's plain codec does not take."""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType

from millpond import _cpython
from millpond._pickling import by_value, generators, handles, out_of_band
from millpond._pickling.out_of_band import PROTOCOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from millpond._engine import Attachments
    from millpond._pickling.out_of_band import Buffer

    T = TypeVar("T")


# One view of all tables for all picklers: the stdlib's makes a new one for each.
REDUCERS: Any = ChainMap(
    _cpython.get("multiprocessing.reduction", "ForkingPickler._extra_reducers"),
    _cpython.get("copyreg", "dispatch_table"),
    out_of_band.reducers(),
)
_REDUCERS_OF_SEEDED: Any = ChainMap(generators.reducers, *REDUCERS.maps)


class _Pickler(pickle.Pickler):
    """Pickles what `multiprocessing` can send to a process, by the reducers registered there."""

    dispatch_table = REDUCERS


class _PicklerOfSeeded(_Pickler):
    """For tasks of pools with a seed."""

    dispatch_table = _REDUCERS_OF_SEEDED


def dumps(value: object) -> list[Buffer]:
    """Return the pickle of a value, followed by the large buffers that it refers to.

    What plain pickle refuses (lambdas, local functions and classes) goes by value.

    Raises:
        Exception: whatever pickling raised, where pickling by value does not help.
    """
    if handles.local.scope is not None:
        return handles.alone(_dumps_anyhow, value)
    return _dumps_anyhow(value)


def dumps_message(value: object) -> list[Buffer] | tuple[list[Buffer], Attachments]:
    """Like `dumps`, with the attachments of the message if it has any."""
    return handles.attaching(_dumps_anyhow, value, carries_descriptors=True)


def _dumps_anyhow(value: object) -> list[Buffer]:
    try:
        return _dumps(_Pickler, value)
    except Exception as error:
        return _dumps_by_value(value, partial(by_value.pickler, None), error)


def _dumps_by_value(
    value: object,
    pickler: Callable[[], Callable[..., Any]],
    refused: Exception,
    beside: bool = True,
) -> list[Buffer]:
    if not by_value.is_enabled():
        raise refused
    try:
        return _dumps(pickler(), value, beside)
    except Exception as error:
        if str(error) != str(refused):
            refused.add_note(f"nor can it be pickled by value: {type(error).__name__}: {error}")
        raise refused from None


def dumps_for_process(value: object, beside: bool, forget: Callable[[], object]) -> list[Buffer]:
    """Like `dumps`, for a process that is being started and will have this one's `__main__`.

    Args:
        value: what to pickle.
        beside: whether large buffers go beside the pickle, or in it.
        forget: called after an attempt that failed, to take back what it had the process inherit.
    """
    main = by_value.MainOfWorkers("spawn")
    if main.may_lack:
        return _dumps(by_value.pickler(main), value, beside)
    try:
        return _dumps(_Pickler, value, beside)
    except Exception as error:
        forget()
        return _dumps_by_value(value, partial(by_value.pickler, main), error, beside)


def dumps_result(value: object) -> list[Buffer] | tuple[list[Buffer], Attachments]:
    """Like `dumps`, but what plain pickle refuses is refused, as in `multiprocessing`.

    Classes that came by value are those of the pool's owner, who knows them.

    If there are handles in the value, what they lead to comes with the buffers.
    """
    return handles.attaching(_dumps_plainly, value, carries_descriptors=True)


def _dumps_plainly(value: object) -> list[Buffer]:
    return _as_result(lambda pickler: _dumps(pickler, value))


def _as_result(dump: Callable[[Callable[..., Any]], T]) -> T:
    """Return what a function makes of the plain pickler, or of the one for results if that fails.

    Raises:
        Exception: what the first raised, if both fail.
    """
    try:
        return dump(_Pickler)
    except Exception as error:
        try:
            return dump(_ResultPickler)
        except Exception:
            raise error from None


class _ResultPickler(_Pickler):
    """Refers to classes that came by value as to the owner's own."""

    def reducer_override(self, value: Any) -> Any:
        return by_value.reduce_class(value) if isinstance(value, type) else NotImplemented


def dumps_in_band(value: object) -> list[bytes]:
    """Return the pickle of a result with everything in it."""

    def dump(pickler: Callable[..., Any]) -> list[bytes]:
        stream = io.BytesIO()
        out_of_band.dump(pickler(stream, PROTOCOL), value, None)
        return [stream.getvalue()]

    return _as_result(dump)


def dumps_exception(error: BaseException) -> tuple[bytes, Attachments | None]:
    """Return the pickle of an exception, and the attachments if it has any."""
    dumped = handles.attaching(dumps_in_band, error, carries_descriptors=True)
    [pickled], attachments = dumped if isinstance(dumped, tuple) else (dumped, None)
    return pickled, attachments


def _dumps(pickler: Callable[..., Any], value: object, beside: bool = True) -> list[Buffer]:
    out_of_band.reducers()
    buffers: list[Buffer] = []
    stream = io.BytesIO()
    out_of_band.dump(pickler(stream, PROTOCOL), value, buffers if beside else None)
    return [stream.getbuffer(), *buffers]


def loads(data: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Return the value of a pickle and its buffers."""
    return out_of_band.load(data, buffers)


def view(address: int, length: int, owner: object) -> memoryview:
    """Return a writable view of memory that lives as long as `owner` does.

    The view, and whatever is made over it, keeps the owner alive.

    Args:
        address: of the first byte.
        length: in bytes.
        owner: an object that keeps the memory mapped.
    """
    import ctypes

    array = (ctypes.c_ubyte * length).from_address(address)
    array._owner = owner  # type: ignore[attr-defined]
    return memoryview(array).cast("B")


REFERENCE = b"r"
"""Begins the bytes of a function that is sent as a reference; a pickle follows."""
STATELESS = b"s"
"""Begins the bytes of a function by value of which one copy is like another; a pickle follows."""
PICKLED = b"p"
"""Begins the bytes of a large function that is made anew for each task; a pickle follows."""
_LARGE = 1 << 20
"""Functions of at least so many bytes are not carried by each task of a call."""
_IMMUTABLE = (type, str, bytes, int, float, FunctionType, BuiltinFunctionType, ModuleType)
"""Types of objects of which it does not matter whether there are two."""


class TaskEncoder:
    """Encodes the functions and arguments of a pool's tasks.

    A task works on copies of its own, of its arguments and of its function alike. Three kinds of
    functions keep that promise in three ways:

    - A *reference*, to a function or class that the worker has: it is the worker's own, for plain
      Python too. It is sent to each worker once.
    - A function by value that is *stateless*: it is sent once, and copied there for each task.
    - Everything else (callable objects, bound methods, partials, closures over lists …) is
      *carried*: pickled with the arguments of each task, so that what both refer to is one object
      there as it is here. If it is large, and the arguments share nothing with it, it is sent to
      each worker once, and unpickled there for each task.
    """

    def __init__(self, method: str, *, is_seeded: bool = False) -> None:
        self._known: dict[Any, tuple[bytes, str]] = {}
        self._main = by_value.MainOfWorkers(method)
        self._is_seeded = is_seeded
        self._plain = _PicklerOfSeeded if is_seeded else _Pickler

    def _by_value(self) -> Callable[..., Any]:
        return by_value.pickler(self._main, is_seeded=self._is_seeded)

    def dumps(self, value: object) -> list[Buffer] | tuple[list[Buffer], Attachments]:
        """Pickle arguments; what the handles in them lead to comes with the buffers."""
        return handles.attaching(self._dumps, value, carries_descriptors=False)

    def _dumps(self, value: object) -> list[Buffer]:
        if self._main.may_lack:
            return _dumps(self._by_value(), value)
        try:
            return _dumps(self._plain, value)
        except Exception as error:
            return _dumps_by_value(value, self._by_value, error)

    def apart(self, function: Any) -> tuple[bytes, Callable[[object], Any]] | None:
        """Pickle a function of many tasks by itself, if it is large.

        Returns its bytes, and a function like `dumps` for the arguments of its tasks; that returns
        None for arguments that share an object with the function. None if it is not large, or
        cannot be pickled.
        """
        stream = io.BytesIO(PICKLED)
        stream.seek(len(PICKLED))
        try:
            memo = self._memo_of(stream, function)
        except Exception:
            # Each task says why.
            return None
        if stream.tell() < _LARGE:
            return None
        shared = {key: value for key, (_, value) in memo.items() if type(value) not in _IMMUTABLE}

        def dumps_beside(value: object) -> Any:
            if any(key in shared for key in self._memo_of(io.BytesIO(), value)):
                return None
            return self.dumps(value)

        return stream.getvalue(), dumps_beside

    def _memo_of(self, stream: io.BytesIO, value: object) -> dict[int, tuple[int, object]]:
        """Pickle a value, and return the objects in it by their ids, as the pickler has them."""
        plain = not self._main.may_lack
        start = stream.tell()
        try:
            pickler = (self._plain if plain else self._by_value())(stream, PROTOCOL)
            out_of_band.dump(pickler, value, None)
        except Exception:
            if not plain or not by_value.is_enabled():
                raise
            stream.seek(start)
            stream.truncate()
            pickler = self._by_value()(stream, PROTOCOL)
            out_of_band.dump(pickler, value, None)
        memo: dict[int, tuple[int, object]] = pickler.memo.copy()
        return memo

    def function(self, function: Any) -> tuple[Any, str]:
        """Return a function's bytes, or itself if it is carried; and what messages call it."""
        label = getattr(function, "__qualname__", None)
        if not isinstance(label, str):
            label = repr(function)
        if type(function) in by_value.PLAIN:
            if self._is_reference(function):
                return self._reference(function, label)
            if by_value.is_stateless(function, self._main):
                stream = io.BytesIO(STATELESS)
                stream.seek(len(STATELESS))
                pickler = self._by_value()(stream, PROTOCOL)
                out_of_band.dump(pickler, function, None)
                return stream.getvalue(), label
        return function, label

    def _is_reference(self, function: Any) -> bool:
        if function.__module__ == "__main__":
            return self._main.has(function)
        return by_value.is_reachable(function) and type(function) not in REDUCERS

    def _reference(self, function: Any, label: str) -> tuple[bytes, str]:
        if (known := self._known.get(function)) is not None:
            return known
        stream = io.BytesIO(REFERENCE)
        stream.seek(len(REFERENCE))
        out_of_band.dump(_Pickler(stream, PROTOCOL), function, None)
        if len(self._known) >= 1024:
            self._known.clear()
        self._known[function] = encoded = (stream.getvalue(), label)
        return encoded


def decoder(data: bytes) -> Callable[[], Any]:
    """Return what gives each task the function of these bytes."""
    kind, pickled = data[:1], data[1:]
    if kind == PICKLED:
        return partial(pickle.loads, pickled)
    function = pickle.loads(pickled)
    if kind == STATELESS:
        return by_value.copier(function)
    modules, module, name = sys.modules, function.__module__, function.__qualname__

    def recall() -> Any:
        # What a task has put into its place counts, as it does for pickle.
        found = modules.get(module)
        if found is not None and found.__dict__.get(name) is function:
            return function
        return pickle.loads(pickled)

    return recall
