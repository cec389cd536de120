"""Which call of a pool is which, for the random numbers of its items."""

from __future__ import annotations

import itertools
from collections import deque

__all__ = ["CallNumbers"]


class CallNumbers:
    """The numbers of a pool's calls, from 0 on. Calls that were refused leave none out."""

    def __init__(self) -> None:
        self._new = itertools.count()
        self._unused: deque[int] = deque()

    def take(self) -> int:
        """Return the number of the next call. Any thread may ask, without a lock."""
        try:
            return self._unused.popleft()
        except IndexError:
            return next(self._new)

    def give_back(self, number: int) -> None:
        """Let another call have the number of one that the pool has refused."""
        self._unused.append(number)
