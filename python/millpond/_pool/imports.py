"""Imports that other threads are in the middle of when a process is forked.

Each module that is being imported has a lock, which the importing thread holds. A forked process
has the lock and not the thread, so whoever imports the module there would wait for ever. Hence:

- The thread that forks waits until no other thread imports, so that the new process finds modules
  that are whole. It waits for one import once, and not for ever: a program may run as the import of
  a module, for as long as it lasts.
- In the new process, imports that were under way all the same are over: a module has what it had by
  then, as in a circular import. That is what the tasks of such a program need.
"""

from __future__ import annotations

import sys
import time
from threading import get_ident

from millpond import _cpython

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ImportsOfOthers"]

_LONGEST_WAIT = 2.0
"""So many seconds one wait lasts at most."""
_STEP = 0.002


class ImportsOfOthers:
    """Those of the other threads of a process that forks."""

    def __init__(self) -> None:
        # By the number of the thread: those that were waited for in vain.
        self._lasting: set[tuple[str, int]] = set()

    def wait(self) -> None:
        """Wait until they are over, or were waited for long enough."""
        until = time.monotonic() + _LONGEST_WAIT
        while (under_way := self._under_way()) - self._lasting:
            if time.monotonic() > until:
                self._lasting = under_way
                return
            time.sleep(_STEP)

    def give_up(self) -> None:
        """Have them be over, in a process that was forked by this thread."""
        for name, _ in self._under_way():
            del _locks()[name]
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if spec is not None:
                spec._initializing = False

    def _under_way(self) -> set[tuple[str, int]]:
        locks = _locks().copy()
        if not locks:
            return set()
        found = ((name, reference()) for name, reference in locks.items())
        owners = ((name, getattr(lock, "owner", None)) for name, lock in found)
        return {(name, owner) for name, owner in owners if owner not in (None, get_ident())}


def _locks() -> dict[str, Any]:
    """Return a reference to each lock, by the name of its module."""
    locks: dict[str, Any] = _cpython.get("importlib._bootstrap", "_module_locks")
    return locks
