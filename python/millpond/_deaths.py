"""The exception for a process that died holding a lock."""

from __future__ import annotations

import time
from multiprocessing import process

from millpond import _cpython
from millpond.exceptions import OwnerDied

__all__ = ["owner_died"]

_HOME = "multiprocessing.process"


def owner_died(pid: int, held: bool) -> OwnerDied:
    """Return the exception for a dead owner; the engine calls this.

    Args:
        pid: the process id of the dead owner.
        held: whether the caller holds the lock now.
    """
    return OwnerDied(pid, _exitcode(pid), held)


def _exitcode(pid: int) -> int | None:
    for child in _known_processes():
        if vars(child).get("_popen") is not None and child.pid == pid:
            return _end_of(child)
    return None


def _known_processes() -> set[process.BaseProcess]:
    """Return the processes that this one has made, and those of its pools."""
    while True:
        try:
            # The workers of pools are among the children; what was joined is only in the other set.
            children: set[process.BaseProcess] = _cpython.get(
                "multiprocessing.process", "_children"
            )
            return children.union(_cpython.get("multiprocessing.process", "_dangling"))
        except RuntimeError:
            # A set of weak references is not copied at once: another thread has made a process.
            pass


def _end_of(child: process.BaseProcess) -> int | None:
    # The process is dead, but a pool's zygote may report the exit code some milliseconds later.
    for _ in range(100):
        try:
            code = child.exitcode
        except ValueError:
            return None  # closed meanwhile
        if code is not None:
            return code
        time.sleep(0.01)
    return None
