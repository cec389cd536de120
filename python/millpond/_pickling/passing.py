"""What a new interpreter gets: a process, or a pool's spec, and all that is in them.

The standard library pickles a process that is started by spawn or forkserver: its target, arguments
and attributes. Here the same is pickled as a pool's tasks are: as references where those work, by
value where they do not, with the memory of large arrays beside it.
"""

from __future__ import annotations

import mmap
import os
import pickle
from functools import wraps
from multiprocessing import context

from millpond._pickling import by_value, codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.process import BaseProcess
    from typing import Any

    from millpond._pickling.out_of_band import Buffer

__all__ = ["Passed", "pass_by_value", "pickle_in_band", "received"]

received: list[int] = []
"""The descriptors that this process, a pool's worker, was passed with the pool's spec."""


class Passed:
    """A descriptor among those that a pool's workers are passed: what `DupFd` returns for them."""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> int:
        """Return the descriptor, in a worker."""
        return received[self._index]


_ALIGNMENT = 64
"""Arrays begin at multiples of so many bytes, as numpy's own do."""


def pass_by_value(start: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that starts processes, whose contents are passed by value where need be.

    It raises why something in a process does not pickle; notes name the argument.

    Args:
        start: the standard library's, of a start method by which children inherit nothing. Its last
            argument is the process.
    """

    @wraps(start)
    def started(*arguments: Any) -> Any:
        *others, process = arguments
        if isinstance(process, _PassedProcess):
            return start(*arguments)
        passed = _PassedProcess(process)
        try:
            return start(*others, passed)
        finally:
            passed.close()

    return started


def pickle_in_band(value: object, parts: Iterable[tuple[str, object]]) -> Buffer:
    """Pickle a value for a process that is being started, with everything in it.

    Args:
        value: what to pickle.
        parts: what an error is to name, with the names.

    Raises:
        Exception: why it does not pickle; a note says what.
    """
    return _pickle(value, parts, beside=False)[0]


def _pickle(value: object, parts: Iterable[tuple[str, object]], *, beside: bool) -> list[Buffer]:
    popen: Any = context.get_spawning_popen()
    passed = len(_inherited(popen))
    handles = set(vars(popen).get("_millpond_passed", ()))

    def forget() -> None:
        """Take back what an attempt that failed had the process inherit."""
        del _inherited(popen)[passed:]
        if "_millpond_passed" in vars(popen):
            popen._millpond_passed = set(handles)

    try:
        return codec.dumps_for_process(value, beside, forget)
    except Exception as error:
        for name, part in parts:
            forget()
            try:
                codec.dumps_for_process(part, beside, forget)
            except Exception as cause:
                cause.add_note(f"cannot send {name} to a new process")
                raise cause from None
        raise error from None


def _inherited(popen: Any) -> list[int]:
    """Return the list of descriptors that a process which is being started inherits."""
    inherited: list[int] = popen._fds
    return inherited


class _PassedProcess:
    """Takes the place of a process while the standard library pickles it."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._memory: int | None = None
        self._name = process.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def __reduce__(self) -> tuple[Any, ...]:
        pickled, *buffers = _pickle(self._process, self._parts(), beside=True)
        enabled = by_value.is_enabled()
        if not buffers and enabled:
            # The process need not import millpond for that.
            return pickle.loads, (bytes(pickled),)
        if not buffers:
            return _unpickle, (bytes(pickled), enabled, None, [])
        from multiprocessing.reduction import DupFd

        self._memory = os.memfd_create("millpond-arguments")
        places = _write(self._memory, buffers)
        return _unpickle, (bytes(pickled), enabled, DupFd(self._memory), places)

    def close(self) -> None:
        """Let go of the memory, which the process has by now."""
        if self._memory is not None:
            os.close(self._memory)

    def _parts(self) -> Iterable[tuple[str, object]]:
        attributes = dict(vars(self._process))
        label = f"{type(self._process).__name__} {self._name!r}"
        yield f"the target of {label}", attributes.pop("_target", None)
        for index, value in enumerate(attributes.pop("_args", ())):
            yield f"args[{index}] of {label}", value
        for name, value in attributes.pop("_kwargs", {}).items():
            yield f"kwargs[{name!r}] of {label}", value
        for name, value in attributes.items():
            yield f"the attribute {name!r} of {label}", value


def _write(file: int, buffers: Iterable[Buffer]) -> list[tuple[int, int]]:
    """Write buffers into a file; return where each begins and ends."""
    places = []
    with open(file, "wb", closefd=False) as stream:
        for buffer in buffers:
            stream.seek(-(-stream.tell() // _ALIGNMENT) * _ALIGNMENT)
            begin = stream.tell()
            stream.write(buffer)
            places.append((begin, stream.tell()))
    return places


def _unpickle(
    pickled: bytes, enabled: bool, memory: Any, places: Iterable[tuple[int, int]]
) -> object:
    by_value.enable(enabled)
    if memory is None:
        return codec.loads(pickled, ())
    file = memory.detach()
    try:
        # What arrives is the receiver's own, to read and to write.
        mapped = memoryview(mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE))
    finally:
        os.close(file)
    return codec.loads(pickled, [mapped[begin:end] for begin, end in places])
