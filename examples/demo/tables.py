"""Results as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import shorten

from findings import Findings
from pool_run import PoolRun


def run_table(serial_seconds: float, workers: int, run: PoolRun) -> str:
    """Return how the serial and the pool's analysis went, as a table."""
    speed_up = serial_seconds / run.seconds if run.seconds else 0.0
    return table(
        "Run",
        [
            ("serial", f"{serial_seconds:.2f} s"),
            (f"pool of {workers}", f"{run.seconds:.2f} s"),
            ("speed-up", f"{speed_up:.2f} x"),
            ("tasks", f"{run.tasks:,}"),
            ("crashes survived", f"{run.crashes:,}"),
            ("files resubmitted", f"{run.resubmitted:,}"),
            ("workers replaced", f"{run.replacements:,}"),
            ("results", "equal"),
        ],
    )


def findings_tables(findings: Findings, directory: Path) -> str:
    """Return what was found, as tables; paths are shown as seen from the directory."""

    def place(path: str) -> str:
        return str(Path(path).relative_to(directory))

    totals = [
        ("files", f"{findings.files:,}"),
        ("files that do not parse", f"{len(findings.unparsed):,}"),
        ("lines", f"{findings.lines:,}"),
        ("classes", f"{findings.classes:,}"),
        ("functions", f"{findings.functions:,}"),
        ("mean complexity", f"{findings.mean_complexity:.2f}"),
    ]
    functions = [
        (str(function.complexity), function.name, f"{place(path)}:{function.line}")
        for function, path in findings.most_complex
    ]
    names = [(f"{uses:,}", name) for name, uses in findings.most_used]
    unparsed = [
        (place(report.path), shorten(report.problem or "", 56, placeholder=" ..."))
        for report in findings.unparsed
    ]
    sections = [
        table("Found", totals),
        table("Most complex functions", functions, right={0}),
        table("Most used names", names, right={0}),
        table("Files that do not parse", unparsed, right=set()),
    ]
    return "\n\n".join(filter(None, sections))


def table(title: str, rows: Sequence[Sequence[str]], right: Iterable[int] = (1,)) -> str:
    """Return rows in columns under a title; nothing if there are no rows.

    Args:
        title: the line above.
        rows: the cells, as many in each row.
        right: the columns that are set flush right, such as numbers.
    """
    if not rows:
        return ""
    right = set(right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [title, "─" * max(len(title), sum(widths) + 2 * (len(widths) - 1))]
    for row in rows:
        cells = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
