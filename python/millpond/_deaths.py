"""What is known of a process that died holding a lock."""

from __future__ import annotations

import time
from multiprocessing import process

from millpond.exceptions import OwnerDied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["owner_died"]


def owner_died(pid: int, held: bool) -> OwnerDied:
    """Return the exception that tells of it; the engine calls this.

    Args:
        pid: the process, which is dead.
        held: the caller holds the lock now.
    """
    return OwnerDied(pid, _exitcode(pid), held)


def _exitcode(pid: int) -> int | None:
    known = vars(process)
    # The workers of pools are among the children; what was joined is only in the other set.
    candidates: Iterable[process.BaseProcess] = {*known["_children"], *known["_dangling"]}
    for child in candidates:
        if vars(child).get("_popen") is not None and child.pid == pid:
            return _end_of(child)
    return None


def _end_of(child: process.BaseProcess) -> int | None:
    # Its death is certain, but a pool's zygote may need a moment to tell what it was.
    for _ in range(100):
        try:
            code = child.exitcode
        except ValueError:
            return None  # closed meanwhile
        if code is not None:
            return code
        time.sleep(0.01)
    return None
