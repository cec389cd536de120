"""What a new process inherits of this one."""

from __future__ import annotations

import os
from multiprocessing import spawn
from typing import NamedTuple

__all__ = ["Surroundings"]

_OF_STATUS = tuple("Uid: Gid: Groups: SigIgn: CapEff: NoNewPrivs: Cpus_allowed:".split())
"""Lines of a process's status that tell what its children have too."""


class Surroundings(NamedTuple):
    """What a process inherits that is started now."""

    environment: dict[str, str]
    umask: int | None
    """The mask of file modes; None if it is unknown."""
    rest: tuple[object, ...]
    """What one that is started later cannot be given."""

    @classmethod
    def of_now(cls) -> Surroundings:
        """Look at this process."""
        try:
            directory: str | None = os.getcwd()
        except OSError:
            # It was removed.
            directory = None
        status = _lines("status")
        masks = [int(line.split()[1], 8) for line in status if line.startswith("Umask:")]
        kernel = (
            [line for line in status if line.startswith(_OF_STATUS)],
            *(_lines(name) for name in ("limits", "cgroup", "oom_score_adj")),
            os.getpriority(os.PRIO_PROCESS, 0),
            os.sched_getscheduler(os.getpid()),
            os.getpgid(0),
            os.getsid(0),
        )
        files = [_identity(number) for number in (0, 1, 2)]
        rest = directory, kernel, files, spawn.get_executable()
        return cls(dict(os.environ), masks[0] if masks else None, rest)


def _lines(name: str) -> list[str]:
    """Return what the kernel tells of this process; nothing if it does not."""
    try:
        with open(f"/proc/self/{name}") as file:
            return list(file)
    except OSError:
        return []


def _identity(number: int) -> tuple[int, int] | None:
    """Return which file is behind a descriptor."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino
