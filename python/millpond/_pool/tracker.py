"""The standard library's resource tracker, which a pool's processes share with the pool's owner.

A process without a tracker starts its own when it first makes or attaches to a `SharedMemory`. That
tracker unlinks the block when the process ends, although the program still uses it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ensure_for_children", "fd_for_children", "give_up", "kept", "take"]

_OWN: Any = resource_tracker._resource_tracker


def ensure_for_children() -> None:
    """Start the tracker before a pool's processes are forked, if they are likely to need it.

    Other programs do not pay for the tracker's interpreter. A frozen program that does not call
    `freeze_support()` would run again in the place of the tracker.
    """
    if "multiprocessing.shared_memory" in sys.modules and not hasattr(sys, "frozen"):
        resource_tracker.ensure_running()


def fd_for_children() -> int:
    """Return the descriptor by which other processes share the tracker, which runs from now on."""
    fd: int = _OWN.getfd()
    return fd


@contextmanager
def kept() -> Iterator[None]:
    """Have processes that are forked meanwhile keep the tracker, as `multiprocessing.Process` does.

    Newer releases of CPython (gh-146313) close its pipe in all other forked processes.
    """
    intent: Any = vars(resource_tracker).get("_fork_intent")
    if intent is None:
        yield
        return
    intent.preserve_fd = True
    try:
        yield
    finally:
        # In the forked process, too.
        intent.preserve_fd = False


def give_up() -> None:
    """Let go of the tracker, which ends with the last process that has it.

    A template does so before it waits, as the fork server does: each worker gets the tracker that
    the program has by then.
    """
    fd, _OWN._fd = _OWN._fd, None
    if fd is not None:
        os.close(fd)


def take(fd: int) -> None:
    """Have the tracker behind a descriptor in this process."""
    _OWN._fd = fd
