"""Values and functions as bytes, for what the engine's fast lane does not take."""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections import ChainMap
from multiprocessing.reduction import ForkingPickler

from millpond import _handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Buffer = bytes | memoryview

_OUT_OF_BAND = 64 << 10
"""Buffers (of arrays, say) of at least so many bytes travel beside the pickle, not in it."""


# One view of both tables for all picklers: the stdlib's makes a new one for each.
_REDUCERS: Any = ChainMap(vars(ForkingPickler)["_extra_reducers"], vars(copyreg)["dispatch_table"])


class _Pickler(pickle.Pickler):
    """Pickles what `multiprocessing` can send to a process, by the reducers registered there."""

    dispatch_table = _REDUCERS


def dumps(value: object) -> list[Buffer]:
    """Return the pickle of a value, followed by the large buffers that it refers to.

    What plain pickle refuses (lambdas, local functions and classes) goes by value.

    Raises:
        Exception: whatever pickling raised, where pickling by value does not help.
    """
    try:
        return _dumps(_Pickler, value)
    except Exception as error:
        try:
            return _dumps(_by_value_pickler(), value)
        except Exception:
            raise error from None


def dumps_by_value(value: object) -> list[Buffer]:
    """Like `dumps`, with all that `__main__` defines going by value."""
    return _dumps(_by_value_pickler(), value)


def dumps_task(value: object) -> list[Buffer] | tuple[list[Buffer], bytes]:
    """Like `dumps`; the tickets of shared objects in the value come with the buffers."""
    return _with_tickets(dumps, value)


def dumps_task_by_value(value: object) -> list[Buffer] | tuple[list[Buffer], bytes]:
    """Like `dumps_by_value`, with tickets as from `dumps_task`."""
    return _with_tickets(dumps_by_value, value)


def dumps_result(value: object) -> list[Buffer] | tuple[list[Buffer], bytes]:
    """Like `dumps`, but what plain pickle refuses is refused, as in `multiprocessing`.

    If there are shared objects in the value, their tickets come with the buffers.
    """
    return _with_tickets(_dumps_plainly, value)


def _with_tickets(
    dump: Callable[[object], list[Buffer]], value: object
) -> list[Buffer] | tuple[list[Buffer], bytes]:
    outer = _handles.collector.tickets
    tickets = _handles.collector.tickets = []
    try:
        buffers = dump(value)
    finally:
        _handles.collector.tickets = outer
    return (buffers, b"".join(tickets)) if tickets else buffers


def _dumps_plainly(value: object) -> list[Buffer]:
    return _dumps(_Pickler, value)


def dumps_in_band(value: object) -> list[bytes]:
    """Return the pickle of a value with everything in it."""
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(value)
    return [stream.getvalue()]


def _dumps(pickler: Callable[..., Any], value: object) -> list[Buffer]:
    buffers: list[Buffer] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            # Not contiguous: pickle copies it.
            return True
        if raw.nbytes < _OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    stream = io.BytesIO()
    pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=keep_in_band).dump(value)
    return [stream.getbuffer(), *buffers]


def _by_value_pickler() -> Callable[..., Any]:
    import cloudpickle

    return cloudpickle.Pickler  # type: ignore[no-any-return]


def loads(data: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Return the value of a pickle and its buffers."""
    return pickle.loads(data, buffers=buffers)


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


def main_is_importable() -> bool:
    """Return whether another process can import this one's `__main__`, to find functions in it."""
    main = sys.modules["__main__"]
    return getattr(main, "__spec__", None) is not None or hasattr(main, "__file__")


class FunctionEncoder:
    """Encodes functions: by reference where workers can follow it, else by value.

    Plain functions of modules always encode alike, so their bytes are kept.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[bytes, str]] = {}
        self._by_value = not main_is_importable()

    def encode(self, function: Callable[..., Any]) -> tuple[bytes, str]:
        """Return the function's bytes, and what to call it in messages."""
        try:
            return self._known[function]
        except (KeyError, TypeError):
            pass
        label = getattr(function, "__qualname__", None) or repr(function)
        in_main = getattr(function, "__module__", None) == "__main__"
        if (in_main and self._by_value) or (self._by_value and not _is_plain(function)):
            return b"".join(dumps_by_value(function)), label
        encoded = _in_band(function), label
        if _is_plain(function) and not in_main:
            if len(self._known) >= 1024:
                self._known.clear()
            self._known[function] = encoded
        elif _is_plain(function) and _is_reachable(function):
            self._known[function] = encoded
        return encoded


def _in_band(function: object) -> bytes:
    try:
        return dumps_in_band(function)[0]
    except Exception as error:
        try:
            stream = io.BytesIO()
            _by_value_pickler()(stream, pickle.HIGHEST_PROTOCOL).dump(function)
            return stream.getvalue()
        except Exception:
            raise error from None


def _is_plain(function: object) -> bool:
    return type(function) in _PLAIN


_PLAIN = (type(_in_band), type(len), type)


def _is_reachable(function: Any) -> bool:
    """Whether a plain function is what its module has under its name."""
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function
