"""The report of a run: tables for people, raw values for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.comparison import TIMES, TO, Comparison

RIGHT_ALIGNED = (1, 2, 3, 4)


def table(rows: Sequence[Comparison]) -> str:
    """A Markdown table that is readable as it stands."""
    cells = [
        ["workload", rows[0].peer_name, "millpond", "ratio", "target", "verdict"],
        *(
            [
                row.title,
                "" if row.alone else str(row.peer or "failed"),
                "" if row.skipped else str(row.ours or "failed"),
                "" if row.ratio is None else f"{row.ratio:.2f}{TIMES}",
                row.target,
                row.verdict,
            ]
            for row in rows
        ),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rule = [
        "-" * (width - 1) + ":" if column in RIGHT_ALIGNED else "-" * width
        for column, width in enumerate(widths)
    ]
    return "\n".join(_line(row, widths) for row in (cells[0], rule, *cells[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column in RIGHT_ALIGNED else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def tally(rows: Sequence[Comparison]) -> str:
    judged = [row for row in rows if row.target and not row.skipped]
    met = sum(row.verdict == "met" for row in judged)
    skipped = sum(row.skipped is not None for row in rows)
    text = f"{met} of {len(judged)} targets met."
    return f"{text} {skipped} rows skipped." if skipped else text


def conditions(machine: dict[str, Any], rounds: int, processes: str = "2 workers") -> str:
    """One sentence on what was measured, where, with which processes."""
    commit = f" at {machine['commit']}" if machine["commit"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"CPython {machine['python']}, millpond {machine['millpond']}{commit}; "
        f"{processes}, medians of {rounds} rounds [min{TO}max]; "
        f"load before the run {machine['load_before']}."
    )
