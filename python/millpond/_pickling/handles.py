"""How handles to shared objects are sent to other processes.

A process that is being started gets the descriptor of the object's memory; any other process gets
a ticket, plain bytes with which it opens the memory itself. Forked children inherit the handle and
need neither.
"""

from __future__ import annotations

import multiprocessing.context as _stdlib
import os
import threading
from multiprocessing import process, util

from millpond._version import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Handle(Protocol):
        """An object of the engine in shared memory."""

        def _ticket(self, sent: bool | None) -> bytes: ...
        def _fd(self) -> int: ...
        @classmethod
        def _open(cls, ticket: bytes, fd: int | None) -> Handle: ...


class _Collector(threading.local):
    """The tickets of the objects that a thread pickles, or None while nobody collects them."""

    tickets: list[bytes] | None = None


collector = _Collector()


GRACE = 5.0
"""Seconds that a child waits at its normal end for others to open the objects that it has sent."""

# The bytes of a ticket that identify the memory; a queue's token follows them.
_TICKET = 48

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


def reduce(handle: Handle) -> tuple[Any, ...]:
    """Return the pickle state of a handle."""
    popen: Any = _stdlib.get_spawning_popen()
    fd = handle._fd()
    if popen is None:
        ticket = handle._ticket(True)
        _wait_at_exit()
        if collector.tickets is not None:
            # The receiver of the list opens the first ticket; the second names the same memory.
            collector.tickets.append(ticket[:_TICKET])
            ticket = handle._ticket(False)
        return type(handle)._open, (ticket, None)
    ticket = handle._ticket(None if starts_one_process(popen) else False)
    if fd in _passed_with(popen):
        # The descriptor is passed with an earlier object in the same memory.
        return type(handle)._open, (ticket, None)
    from multiprocessing.reduction import DupFd

    _passed_with(popen).add(fd)
    return _open_inherited, (type(handle), ticket, DupFd(fd))


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


def _open_inherited(kind: type[Handle], ticket: bytes, duplicate: Any) -> Handle:
    return kind._open(ticket, duplicate.detach())
