"""A picture of the ratios: horizontal bars on a logarithmic axis, as one self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from harness.comparison import TIMES, Comparison, Series, figures

WIDTH = 860
LEFT, RIGHT = 330, 80
TOP, BOTTOM = 86, 50
ROW, BAR = 40, 18
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

# In an <img>, the colour scheme is the reader's, not the page's.
STYLE = """
svg { --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --better: #0f7b6c; --worse: #c4532b; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #f0f6fc; --soft: #9198a1; --line: #30363d; --better: #2fb39c; --worse: #f0814f; }
}
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
text { fill: var(--ink); }
.title { font-size: 17px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); }
.parity { stroke: var(--soft); stroke-width: 1.5; }
.target { stroke: var(--ink); stroke-width: 2; }
.better { fill: var(--better); }
.worse { fill: var(--worse); }
.ratio { font-weight: 600; }
""".strip()


class Axis:
    """Ratios on a logarithmic scale, with room for every bar and target."""

    def __init__(self, ratios: Sequence[float]) -> None:
        self.low = max((t for t in TICKS if t <= min(*ratios, 1)), default=TICKS[0])
        self.high = min((t for t in TICKS if t >= max(*ratios, 2)), default=TICKS[-1])

    def x(self, ratio: float) -> float:
        ratio = min(max(ratio, self.low), self.high)
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    @property
    def ticks(self) -> list[float]:
        return [tick for tick in TICKS if self.low <= tick <= self.high]


def draw(rows: Sequence[Comparison], machine: dict[str, Any], date: str, whose: str) -> str:
    """The chart of all rows that have a ratio; `whose` names what was measured."""
    bars = [(row, row.ratio) for row in rows if row.ratio is not None]
    targets = [row.least_ratio for row, _ in bars if row.least_ratio is not None]
    axis = Axis([*(ratio for _, ratio in bars), *targets, 1])
    bottom = TOP + ROW * len(bars)
    height = bottom + BOTTOM
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, CPython {machine['python']}, "
        f"millpond {machine['millpond']}, {date}"
    )
    title = f"millpond's {whose}: times faster than the peer"
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t">',
        f'<title id="t">{title}</title>',
        f"<style>{STYLE}</style>",
        _text(20, 30, title, "title"),
        _text(20, 50, f"{where}. Longer is better; logarithmic axis.", "soft"),
        *_grid(axis, bottom),
    ]
    for number, (row, ratio) in enumerate(bars):
        parts += _bar(axis, TOP + ROW * number, row, ratio)
    parts += [*_legend(height - 12), "</svg>"]
    return "\n".join(parts) + "\n"


def _grid(axis: Axis, bottom: int) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x = axis.x(tick)
        style = "parity" if tick == 1 else "grid"
        parts.append(_line(x, TOP - 6, bottom, style))
        parts.append(_text(x, TOP - 12, f"{tick:g}{TIMES}", "soft", anchor="middle"))
    return parts


def _bar(axis: Axis, top: int, row: Comparison, ratio: float) -> list[str]:
    parity, end = axis.x(1), axis.x(ratio)
    y = top + (ROW - BAR) / 2
    style = "better" if ratio >= 1 else "worse"
    values = f"{row.peer_name} {_value(row.peer)}, millpond {_value(row.ours)}"
    parts = [
        _text(20, top + 18, row.title),
        _text(20, top + 32, values, "soft"),
        _rectangle(min(parity, end), y, max(abs(end - parity), 1), BAR, style),
    ]
    label = max(parity, end)
    if row.least_ratio is not None and row.least_ratio != 1:
        target = axis.x(row.least_ratio)
        parts.append(_line(target, y - 4, y + BAR + 4, "target"))
        # The label stays clear of a target just beyond the bar.
        label = target if label < target < label + 60 else label
    parts.append(_text(label + 8, y + 13.5, f"{figures(ratio)}{TIMES}", "ratio"))
    return parts


def _legend(y: float) -> list[str]:
    return [
        _rectangle(LEFT, y - 9, 14, 10, "better"),
        _text(LEFT + 20, y, "millpond faster", "soft"),
        _rectangle(LEFT + 125, y - 9, 14, 10, "worse"),
        _text(LEFT + 145, y, "peer faster", "soft"),
        _line(LEFT + 232, y - 11, y + 3, "target"),
        _text(LEFT + 240, y, f"target, where it is not 1{TIMES}", "soft"),
    ]


def _value(series: Series | None) -> str:
    return "" if series is None else f"{figures(series.median)} {series.unit}"


def _rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="{height}" rx="2"/>'
    )


def _line(x: float, top: float, bottom: float, style: str) -> str:
    return f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
