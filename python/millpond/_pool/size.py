"""How many workers a pool may have."""

from __future__ import annotations

import errno
import os
import resource
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["IDLE_TIMEOUT", "Size"]

IDLE_TIMEOUT = 10.0
"""Seconds after which a worker that a pool can do without leaves, if nothing else was said."""

_MOST_PROCESSES = 1 << 14
"""Half of what a system with the usual 32768 process ids could have at all."""
_OWN_DESCRIPTORS = 8
"""Descriptors that a pool needs beside those for its workers, at most."""
_MOST_OPEN = 1 << 14
"""A process with so many descriptors left does not look how many are open."""
_LONGEST = 1e9
"""Seconds: as good as for ever."""


class Size(NamedTuple):
    """How many workers a pool may have."""

    least: int
    most: int
    idle_timeout: float
    """Seconds after which a worker beyond `least` leaves that has nothing to do."""

    @property
    def is_fixed(self) -> bool:
        """Whether the pool always has as many."""
        return self.least == self.most

    @classmethod
    def checked(
        cls,
        processes: int | tuple[int, int] | None,
        idle_timeout: float | None,
        name: str = "processes",
        at_least: int = 1,
    ) -> Size:
        """Return the size that a caller asked for.

        Args:
            processes: how many, or the least and the largest number of them; None for as many as
                this process may use CPUs.
            idle_timeout: in seconds; None for the usual.
            name: what the caller calls `processes`.
            at_least: the smallest largest number.

        Raises:
            TypeError: these are no numbers.
            ValueError: a number is out of range.
            OSError: this process may not have as many descriptors as such a pool needs.
        """
        if isinstance(processes, tuple):
            if len(processes) != 2:
                text = f"{name} must be a number or the least and the largest, not {processes!r}"
                raise ValueError(text)
            least, most = (_integer(number, name) for number in processes)
            if least < 0:
                raise ValueError(f"the least number of {name} must not be negative, not {least}")
            if least > most:
                text = f"the least number of {name} must not be above the largest: {processes!r}"
                raise ValueError(text)
        elif processes is None:
            from millpond import _engine

            least = most = _engine.cpu_count()
        else:
            least = most = _integer(processes, name)
        if most < at_least:
            raise ValueError(f"Number of processes must be at least {at_least}")
        if most > _MOST_PROCESSES:
            raise ValueError(f"Number of processes must be at most {_MOST_PROCESSES}, not {most}")
        if processes is not None:
            _check_descriptors(most)
        return cls(least, most, _checked_timeout(idle_timeout))


def _integer(number: Any, name: str) -> int:
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"{name} must be an int or None, not {number!r}")
    checked: int = number.__index__()
    return checked


def _checked_timeout(idle_timeout: Any) -> float:
    if idle_timeout is None:
        return IDLE_TIMEOUT
    if isinstance(idle_timeout, bool) or not hasattr(idle_timeout, "__float__"):
        raise TypeError(f"idle_timeout must be a number of seconds or None, not {idle_timeout!r}")
    seconds = float(idle_timeout)
    if not seconds >= 0:
        raise ValueError(f"idle_timeout must not be negative, not {idle_timeout!r}")
    return min(seconds, _LONGEST)


def _check_descriptors(processes: int) -> None:
    """Refuse a pool that could never have all its workers."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Three a worker, and what the pool and its supervisor have.
    needed = 3 * processes + _OWN_DESCRIPTORS
    if limit == resource.RLIM_INFINITY or needed < limit - _MOST_OPEN:
        return
    try:
        # One of them is the folder that is being read.
        taken = len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return
    if taken + needed > limit:
        raise OSError(
            errno.EMFILE,
            f"{os.strerror(errno.EMFILE)}: a pool of {processes} needs {needed}, and {taken} of "
            f"the {limit} that this process may have (ulimit -n) are taken",
        )
