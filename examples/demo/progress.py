"""A progress bar for terminals, which is a line a step elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

# Of the bar, in characters.
WIDTH = 32

# Seconds between two drawings.
INTERVAL = 0.05


class Progress:
    """Shows how far something is.

    On a terminal, one line is drawn again and again. Elsewhere, as in a log, there is only the
    line at the end, and notes.

    Args:
        label: what is being done.
        total: how many steps that takes.
        unit: what a step is, in the plural.
        stream: where to show it.
    """

    def __init__(self, label: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._stream = stream if stream is not None else sys.stdout
        self._live = self._stream.isatty()
        self._begin = time.perf_counter()
        self._drawn = 0.0
        self._done = 0

    @property
    def seconds(self) -> float:
        """The time since the beginning."""
        return time.perf_counter() - self._begin

    def advance(self, done: int) -> None:
        """Say how many steps are done by now."""
        self._done = done
        now = time.perf_counter()
        if self._live and now - self._drawn >= INTERVAL:
            self._drawn = now
            self._write(f"\r{self._line()}\x1b[K")

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        self._write(f"\r{text}\x1b[K\n{self._line()}" if self._live else f"{text}\n")

    def finish(self) -> float:
        """Write the last line and return how many seconds it took."""
        seconds = self.seconds
        text = f"{self._label}: {self._done:,} {self._unit} in {seconds:.2f} s"
        self._write(f"\r{text}\x1b[K\n" if self._live else f"{text}\n")
        return seconds

    def _line(self) -> str:
        share = self._done / self._total if self._total else 1.0
        rate = self._done / self.seconds if self.seconds else 0.0
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate else ""
        counts = f"{self._done:,}/{self._total:,} {self._unit}"
        return f"{self._label} {self._bar(share)} {share:4.0%}  {counts}{left}"

    def _bar(self, share: float) -> str:
        encoding = (self._stream.encoding or "").lower()
        full, empty = ("█", "░") if encoding.startswith("utf") else ("#", "-")
        filled = round(share * WIDTH)
        return full * filled + empty * (WIDTH - filled)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
