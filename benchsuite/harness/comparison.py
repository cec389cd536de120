"""Two libraries at one workload: values, ratio, verdict."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

TIMES = "\N{MULTIPLICATION SIGN}"
TO = "\N{EN DASH}"


@dataclass(frozen=True)
class Series:
    """What one library reached in each round."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith("/s")

    def __str__(self) -> str:
        text = f"{figures(self.median)} {self.unit}"
        if len(self.values) > 1:
            text += f" [{figures(min(self.values))}{TO}{figures(max(self.values))}]"
        return text


@dataclass(frozen=True)
class Comparison:
    """One row of the report. A library without a series failed at the workload."""

    title: str
    peer_name: str
    peer: Series | None
    ours: Series | None
    least_ratio: float | None = None
    """The target as a ratio."""
    most: float | None = None
    """The target as a limit on our value, where a ratio to the peer says nothing."""
    alone: bool = False
    """The peer has no such workload."""
    skipped: str | None = None
    """Why there is nothing of ours to measure."""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer millpond is, by the medians; below 1, worse."""
        if self.peer is None or self.ours is None or self.most is not None:
            return None
        if self.ours.more_is_better:
            return self.ours.median / self.peer.median
        return self.peer.median / self.ours.median

    @property
    def target(self) -> str:
        if self.most is not None:
            known = self.ours or self.peer
            return f"≤ {figures(self.most)} {known.unit if known else ''}".rstrip()
        return "" if self.least_ratio is None else f"≥ {self.least_ratio:g}{TIMES}"

    @property
    def failed(self) -> bool:
        if self.skipped:
            return False
        return self.ours is None or (self.peer is None and not self.alone)

    @property
    def verdict(self) -> str:
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.ours is None:
            return "millpond FAILED"
        if self.alone:
            return "no peer"
        if self.peer is None:
            return f"{self.peer_name} FAILED"
        verdict = ""
        if self.most is not None:
            verdict = "met" if self.ours.median <= self.most else "NOT met"
        if self.least_ratio is not None and self.ratio is not None:
            verdict = "met" if self.ratio >= self.least_ratio else "NOT met"
        if self.ratio is not None and self.ratio < 1:
            slower = f"{self.peer_name} is {1 / self.ratio:.2f}{TIMES} faster"
            verdict = f"{verdict}: {slower}" if verdict else slower
        return verdict


def figures(value: float) -> str:
    """Three significant figures, never an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
