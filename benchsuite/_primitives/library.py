"""A library under measurement, and how much is measured."""

from __future__ import annotations

import importlib
from typing import Any

OURS = "millpond"
STDLIB = "multiprocessing"
FASTER_FIFO = "faster-fifo"
BILLIARD = "billiard"
NAMES = (STDLIB, FASTER_FIFO, BILLIARD, OURS)

# Room for a few of the largest items; faster-fifo fixes the size of a queue when it is made.
_FASTER_FIFO_BYTES = 64_000_000


class Absent(Exception):
    """What a library does not have (yet), so that there is nothing to measure."""


class Library:
    """Makes the primitives of one library, all for the start method `fork`."""

    def __init__(self, name: str, *, quick: bool) -> None:
        self.name = name
        self.is_ours = name == OURS
        self.is_faster_fifo = name == FASTER_FIFO
        self._quick = quick
        # faster-fifo has queues alone: its processes are the stdlib's.
        module: Any = importlib.import_module(STDLIB if self.is_faster_fifo else name)
        self.context = module.get_context("fork")

    def make(self, primitive: str, *arguments: Any) -> Any:
        """A primitive by its name in `multiprocessing`.

        Raises:
            Absent: it is the stdlib's under another name, or not there.
        """
        made = getattr(self.context, primitive)(*arguments)
        if self.is_ours and not _is_own(made):
            raise Absent(f"millpond.{primitive} is the stdlib's in this build")
        return made

    def queue(self, kind: str = "Queue", *, most: int = 0, large: bool = False) -> Any:
        """A queue, without a limit on the number of items unless `most` is one.

        faster-fifo limits the bytes: `large` makes that as many as a limit of large items allows.
        """
        if not self.is_faster_fifo:
            return self.make(kind, most) if most else self.make(kind)
        import faster_fifo

        # By default as its users get it: it holds one megabyte.
        return faster_fifo.Queue(_FASTER_FIFO_BYTES) if large else faster_fifo.Queue()

    def amount(self, theirs: int, ours: int | None = None) -> int:
        """How often to do something.

        Args:
            theirs: what takes the peers about half a second.
            ours: the same for millpond, where it is faster by so much that the peers' number
                would be over before the clock can tell.
        """
        full = theirs if ours is None or not self.is_ours else ours
        return max(full // 4, 4) if self._quick else full

    @property
    def seconds(self) -> float:
        """How long to repeat what is measured one by one."""
        return 0.1 if self._quick else 0.4


def _is_own(made: Any) -> bool:
    """Whether all parts of a primitive (a pipe has two ends) come from millpond."""
    parts = made if isinstance(made, tuple) else (made,)
    if hasattr(made, "get_lock"):
        # The wrapper of a value may be anybody's: what counts is whose lock it has.
        parts = (made.get_lock(),)
    return all(type(part).__module__.split(".")[0] == OURS for part in parts)
