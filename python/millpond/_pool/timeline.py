"""What a pool has done: counters, and a picture."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Level", "Stats", "Timeline"]


class Level(NamedTuple):
    """How long tasks of one priority wait for a worker, in seconds.

    What came before the pool knew of priorities does not count.
    """

    waiting: int
    """Tasks that wait now."""
    oldest: float
    """How long the first of them has waited."""
    finished: int
    """Tasks that were done."""
    mean: float
    """How long those had waited on average."""
    longest: float
    """How long one of those had waited at most."""


class Stats(NamedTuple):
    """Counters of a pool since it was made."""

    tasks: int
    """Tasks (calls, or chunks of items) that were submitted."""
    finished: int
    """Tasks that a worker finished, whatever the result."""
    crashes: int
    """Tasks that were lost because their worker died."""
    started: int
    """Workers that were started."""
    replacements: int
    """Workers whose place another one had to take."""
    moved: int
    """Tasks that were taken back from a worker before they began, for another to do them."""
    timeouts: int
    """Workers that were killed because their task took longer than its `timeout`."""
    retries: int
    """Tasks that were tried again, once for each time."""
    workers: int
    """Workers that the pool has now, those that are starting included."""
    wanted: int
    """Workers that it wants now: a new one is on its way for each that is missing."""
    left: int
    """Workers that left because there were too many."""
    levels: dict[int, Level]
    """What waited how long, by priority; empty until a task has another priority than 0."""


class Timeline:
    """The picture of a pool's run: which worker did what, and when.

    In a notebook it shows itself.
    """

    def __init__(self, page: str, picture: str) -> None:
        self._page = page
        self._picture = picture

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file that needs nothing else.

        Args:
            path: of the file, which is overwritten: an SVG picture if it ends in `.svg`, else an
                HTML page with a summary and tooltips.
        """
        is_picture = os.fspath(path).endswith(".svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._picture if is_picture else self._page)

    def _repr_html_(self) -> str:
        import html

        return f'<iframe srcdoc="{html.escape(self._page)}" width="100%" height="480"></iframe>'
