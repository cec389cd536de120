"""How handles to shared objects travel between processes.

A process that is being started gets the descriptor of the object's memory; any other gets a
ticket, plain bytes, with which it opens the memory itself. Forked children inherit the handle and
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
        """An object of the engine that lies in shared memory."""

        def _ticket(self, sent: bool) -> bytes: ...
        def _fd(self) -> int: ...
        @classmethod
        def _open(cls, ticket: bytes, fd: int | None) -> Handle: ...


class _Collector(threading.local):
    """Where a thread collects the tickets of what it pickles, while it wants them."""

    tickets: list[bytes] | None = None


collector = _Collector()


GRACE = 5.0
"""Seconds that a child waits, when it ends by itself, for others to take what it made and sent."""

# How many bytes name the memory; what a queue has behind them names its token.
_TICKET = 48

# The process that will wait at its end.
_waiting: int | None = None


def _wait_at_exit() -> None:
    """See to it that a child which made shared memory and sent it does not end at once.

    Whoever gets the message needs a moment to open the memory, which nobody else has until then.
    The wait is bounded: nobody may ever read the message, and the child's end be waited for.
    """
    global _waiting
    if _waiting == os.getpid() or process.parent_process() is None:
        return
    _waiting = os.getpid()
    util.Finalize(None, _wait_for_arrivals, exitpriority=-200)


def _wait_for_arrivals() -> None:
    load_engine().wait_for_arrivals(GRACE)


def reduce(handle: Handle) -> tuple[Any, ...]:
    """Return how a handle is pickled."""
    popen: Any = _stdlib.get_spawning_popen()
    fd = handle._fd()
    if popen is None:
        ticket = handle._ticket(True)
        _wait_at_exit()
        if collector.tickets is not None:
            # That one is used by who gets the list; this one leads to what it has by then.
            collector.tickets.append(ticket[:_TICKET])
            ticket = handle._ticket(False)
        return type(handle)._open, (ticket, None)
    if fd in _passed_with(popen):
        # The memory comes with an earlier object, which lies in it too.
        return type(handle)._open, (handle._ticket(False), None)
    from multiprocessing.reduction import DupFd

    _passed_with(popen).add(fd)
    return _open_inherited, (type(handle), handle._ticket(False), DupFd(fd))


def _passed_with(popen: Any) -> set[int]:
    """Return the descriptors that a process which is being started gets: each is passed once."""
    passed: set[int] = vars(popen).setdefault("_millpond_passed", set())
    return passed


def _open_inherited(kind: type[Handle], ticket: bytes, duplicate: Any) -> Handle:
    return kind._open(ticket, duplicate.detach())
