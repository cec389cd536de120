"""Whether this process may have the engine's shared memory; if not, the stdlib's objects are used.

To the system, anonymous shared memory is a file. A limit on the size of files (`ulimit -f`, which
batch systems and judges set) therefore applies to it, but not to pipes and named semaphores.
"""

from __future__ import annotations

import resource

__all__ = ["engine_has_room"]

_LARGEST = 129 << 30
"""The size in bytes of the engine's largest file, a queue's. Most of its pages are never used."""


def engine_has_room() -> bool:
    """Return whether this process may make files as large as the engine's."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return limit == resource.RLIM_INFINITY or limit >= _LARGEST
