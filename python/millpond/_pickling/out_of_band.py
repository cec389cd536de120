"""Large buffers travel beside the pickle that refers to them, to be read in place.

Pickle protocol 5 could do that, but `multiprocessing` pickles with the default protocol, which is 4
before Python 3.14, and what arrives is not the same: by protocol 5, an array that is read-only at
the sender is so at the receiver, and one of a foreign byte order stays so. Hence millpond pickles
with the default protocol too, in which everything arrives as with the standard library. The few
types whose large instances are worth it have reducers here, which make the same of a buffer beside
the pickle. Others would notice: by protocol 5, a type may count on `bytes` where it gave a buffer.
"""

from __future__ import annotations

import pickle
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Buffer = bytes | memoryview

PROTOCOL = pickle.DEFAULT_PROTOCOL
"""What all is pickled with: 4, and 5 from CPython 3.14 on. What numpy does with arrays by either is
what the reducers here do too.
"""

SMALLEST = 64 << 10
"""Buffers of fewer bytes travel in the pickle."""


class _Beside(threading.local):
    """The buffers that go with what this thread pickles or unpickles at this moment."""

    sent: list[Buffer] | None = None
    received: Sequence[Buffer] = ()


_beside = _Beside()


def dump(pickler: Any, value: object, buffers: list[Buffer] | None) -> None:
    """Let a pickler dump a value; its large buffers are added to `buffers`, if that is a list."""
    outer = _beside.sent
    _beside.sent = buffers
    try:
        pickler.dump(value)
    finally:
        _beside.sent = outer


def load(data: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Return the value of a pickle and the buffers beside it, which it may go on using."""
    if not buffers:
        return pickle.loads(data)
    outer = _beside.received
    _beside.received = buffers
    try:
        return pickle.loads(data)
    finally:
        _beside.received = outer


_reducers: dict[type, Callable[[Any], Any]] = {}


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Return the reducers, by type, for the libraries that are imported by now.

    It is always the same object.
    """
    global _awaited
    for module, name, reducer in _awaited:
        # While it is being imported, the type may be missing.
        if module in sys.modules and (cls := getattr(sys.modules[module], name, None)) is not None:
            _reducers[cls] = reducer
            _awaited = tuple(awaited for awaited in _awaited if awaited[0] != module)
    return _reducers


def _array_reduced(array: Any) -> Any:
    """Reduce a `numpy.ndarray`, which is of no subclass, by pickle protocol 4."""
    dtype, flags = array.dtype, array.flags
    # What has another byte order or objects in it is made anew by numpy.
    if dtype.hasobject or not dtype.isnative or dtype.kind not in "biufcmMSUV":
        return array.__reduce_ex__(PROTOCOL)
    is_builtin = dtype.isbuiltin == 1 and dtype.metadata is None
    described = dtype.str if is_builtin else dtype
    if array.nbytes < SMALLEST or (buffers := _beside.sent) is None:
        return _array_of_bytes, (array.tobytes("A"), described, array.shape, flags.fnc)
    order = "F" if flags.fnc else "C"
    if not flags.forc:
        array = array.copy(order=order)
    buffers.append(array.reshape(-1, order=order).view("u1").data)
    return _array_in_place, (len(buffers) - 1, described, array.shape, order)


def _array_of_bytes(data: bytes, described: Any, shape: tuple[int, ...], is_fortran: bool) -> Any:
    """Return what numpy's own way by pickle protocol 4 returns, which takes twice as long."""
    from numpy import dtype, ndarray

    array: Any = ndarray((0,), "b")
    array.__setstate__((1, shape, dtype(described), is_fortran, data))
    return array


def _array_in_place(index: int, described: Any, shape: tuple[int, ...], order: Any) -> Any:
    from numpy import ndarray

    return ndarray(shape, described, _beside.received[index], order=order)


def _array_reduced_by_buffer(array: Any) -> Any:
    """Reduce a `numpy.ndarray`, which is of no subclass, by pickle protocol 5."""
    reduced = array.__reduce_ex__(PROTOCOL)
    buffers = _beside.sent
    if buffers is None or array.nbytes < SMALLEST:
        return reduced
    make, arguments, *state = reduced
    if isinstance(arguments[0], pickle.PickleBuffer):
        memory = arguments[0].raw()
        buffers.append(memory)
        place = _Place(len(buffers) - 1, memory.readonly)
        return make, (place, *arguments[1:]), *state
    if array.dtype.hasobject or not array.dtype.isnative:
        return reduced
    # It is not contiguous: numpy has copied it.
    (_version, shape, dtype, is_fortran, data), *_ = state
    buffers.append(data)
    return _array_in_place, (len(buffers) - 1, dtype, shape, "F" if is_fortran else "C")


class _Place:
    """Stands in a pickle for a buffer beside it."""

    def __init__(self, index: int, is_read_only: bool) -> None:
        self._place = index, is_read_only

    def __reduce__(self) -> Any:
        return _memory, self._place


def _memory(index: int, is_read_only: bool) -> memoryview:
    memory = memoryview(_beside.received[index])
    return memory.toreadonly() if is_read_only else memory


def _arrow_buffer_reduced(buffer: Any) -> Any:
    """Reduce a `pyarrow.Buffer`."""
    buffers = _beside.sent
    if buffers is None or buffer.size < SMALLEST or not buffer.is_cpu:
        return buffer.__reduce_ex__(PROTOCOL)
    buffers.append(memoryview(buffer).cast("B"))
    return _arrow_buffer, (len(buffers) - 1, buffer.is_mutable)


def _arrow_buffer(index: int, mutable: bool) -> Any:
    import pyarrow

    return pyarrow.py_buffer(_memory(index, not mutable))


_awaited: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("numpy", "ndarray", _array_reduced if PROTOCOL < 5 else _array_reduced_by_buffer),
    ("pyarrow.lib", "Buffer", _arrow_buffer_reduced),
)
