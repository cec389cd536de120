"""How handles to shared objects are sent to other processes.

A process that is being started gets the descriptors of the object's memory. A message whose way
carries descriptors (a task's result, a message of a pipe) owns what its handles lead to: the engine
sends the *attachments* with it. Arguments of a task are attached to it in its pool, which keeps
them. An item of a queue has a wire handle alone, bytes by which its receiver opens the memory
through the sender. Forked children inherit the handle and need none of this.
"""

from __future__ import annotations

import multiprocessing.context as _stdlib
import os
import threading
from multiprocessing import process, util

from millpond._engine_loader import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from millpond._engine import Attachments

    T = TypeVar("T")

    class HasWireHandle(Protocol):
        """An object of the engine in shared memory."""

        def _wire_handle(self, sent: bool | None) -> bytes: ...

    class Handle(HasWireHandle, Protocol):
        """One that has one descriptor."""

        def _fd(self) -> int: ...
        @classmethod
        def _open(cls, wire_handle: bytes, fd: int | None) -> Handle: ...


class _Scope:
    """What the value is attached to that a thread pickles."""

    __slots__ = ("attachments", "carries_descriptors")

    def __init__(self, carries_descriptors: bool) -> None:
        self.carries_descriptors = carries_descriptors
        self.attachments: Attachments | None = None

    def attach(self) -> Attachments:
        if self.attachments is None:
            self.attachments = load_engine().Attachments()
        return self.attachments


class _Local(threading.local):
    """The scope of what a thread pickles, and the descriptors that came with what it unpickles."""

    scope: _Scope | None = None
    descriptors: list[int] | None = None


local = _Local()


GRACE = 5.0
"""Seconds that a child waits at its normal end for others to open the objects that it has sent."""

# The pid of the process that has registered the wait at its end.
_waiting: int | None = None


def _wait_at_exit() -> None:
    """Make a child that has sent shared memory wait at its end until the memory was opened.

    Until the receiver opens it, no other process has the memory. The wait is bounded because the
    message may never be read.
    """
    global _waiting
    if _waiting == os.getpid() or process.parent_process() is None:
        return
    _waiting = os.getpid()
    util.Finalize(None, _wait_for_arrivals, exitpriority=-200)


def _wait_for_arrivals() -> None:
    load_engine().wait_for_arrivals(GRACE)


def attaching(
    dump: Callable[[object], T], value: object, carries_descriptors: bool
) -> T | tuple[T, Attachments]:
    """Pickle a value that can have attachments.

    Args:
        dump: pickles it.
        value: what to pickle.
        carries_descriptors: whether its way carries descriptors other than those of shared memory.

    Returns:
        What `dump` returns; with the attachments, if there are any.
    """
    outer = local.scope
    scope = local.scope = _Scope(carries_descriptors)
    try:
        dumped = dump(value)
    finally:
        local.scope = outer
    return dumped if scope.attachments is None else (dumped, scope.attachments)


def alone(dump: Callable[[object], T], value: object) -> T:
    """Pickle a value that has no attachments, in the midst of one that may have."""
    outer, local.scope = local.scope, None
    try:
        return dump(value)
    finally:
        local.scope = outer


def wire_handle(handle: HasWireHandle) -> bytes:
    """Return what stands for a handle in a message."""
    scope = local.scope
    if scope is None:
        _wait_at_exit()
        return handle._wire_handle(True)
    wire_handle = handle._wire_handle(False)
    scope.attach().add(wire_handle)
    return wire_handle


def duplicate(fd: int) -> Any:
    """Return what stands for a descriptor in a message, or for a process that is being started."""
    scope = local.scope
    if scope is None or not scope.carries_descriptors or _stdlib.get_spawning_popen() is not None:
        from multiprocessing.reduction import DupFd

        return DupFd(fd)
    return Attached(scope.attach().add_descriptor(fd))


class Attached:
    """Stands for a descriptor that is attached to the message."""

    def __init__(self, number: int) -> None:
        self._number = number

    def detach(self) -> int:
        """Return a duplicate of the descriptor, in the receiver, while the message is unpickled."""
        if local.descriptors is None or self._number >= len(local.descriptors):
            raise OSError("the descriptor did not come with its message")
        return os.dup(local.descriptors[self._number])


def with_descriptors(loads: Callable[..., Any], descriptors: list[int]) -> Callable[..., Any]:
    """Return what unpickles a message that came with descriptors."""

    def loads_with_descriptors(*args: Any) -> Any:
        outer, local.descriptors = local.descriptors, descriptors
        try:
            return loads(*args)
        finally:
            local.descriptors = outer

    return loads_with_descriptors


def reduce(handle: Handle) -> tuple[Any, ...]:
    """Return the pickle state of a handle."""
    popen: Any = _stdlib.get_spawning_popen()
    if popen is None:
        return type(handle)._open, (wire_handle(handle), None)
    fd = handle._fd()
    given = handle._wire_handle(None if starts_one_process(popen) else False)
    if fd in _passed_with(popen):
        # The descriptor is passed with an earlier object in the same memory.
        return type(handle)._open, (given, None)
    from multiprocessing.reduction import DupFd

    _passed_with(popen).add(fd)
    return _open_inherited, (type(handle), given, DupFd(fd))


def starts_one_process(popen: object) -> bool:
    """Return whether what is pickled now is unpickled once, by the process that is being started.

    So it is for the standard library's own ways to start one; pools keep what they pickle.
    """
    module = type(popen).__module__
    return module in ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")


def _passed_with(popen: Any) -> set[int]:
    """Return the descriptors passed to the process that is being started, each of them once."""
    passed: set[int] = vars(popen).setdefault("_millpond_passed", set())
    return passed


def _open_inherited(kind: type[Handle], wire_handle: bytes, duplicate: Any) -> Handle:
    return kind._open(wire_handle, duplicate.detach())
