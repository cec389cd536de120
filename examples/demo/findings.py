"""What was found in all files together."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from source_file import FileReport, Function


@dataclass(frozen=True)
class Findings:
    """The analysis of many files."""

    files: int
    unparsed: tuple[FileReport, ...]
    lines: int
    functions: int
    classes: int
    mean_complexity: float
    most_complex: tuple[tuple[Function, str], ...]
    """The most complex functions, each with the path of its file."""
    most_used: tuple[tuple[str, int], ...]
    """The names that are used most often, each with how often."""


def summarise(reports: Iterable[FileReport], top: int = 10) -> Findings:
    """Sum up reports, whatever their order, with the `top` functions and names."""
    reports = sorted(reports, key=lambda report: report.path)
    functions = [(function, r.path) for r in reports for function in r.functions]
    names: Counter[str] = Counter()
    for report in reports:
        names.update(report.names)
    total = sum(function.complexity for function, _ in functions)
    return Findings(
        files=len(reports),
        unparsed=tuple(report for report in reports if report.problem is not None),
        lines=sum(report.lines for report in reports),
        functions=len(functions),
        classes=sum(report.classes for report in reports),
        mean_complexity=total / len(functions) if functions else 0.0,
        most_complex=tuple(heapq.nlargest(top, functions, key=lambda f: f[0].complexity)),
        most_used=tuple(heapq.nsmallest(top, names.items(), key=lambda n: (-n[1], n[0]))),
    )


def source_files(directory: Path) -> list[str]:
    """Return the Python files below a directory, without those of installed packages."""
    foreign = {"site-packages", "dist-packages"}
    files = (
        path
        for path in directory.rglob("*.py")
        if not foreign.intersection(path.relative_to(directory).parts) and path.is_file()
    )
    return sorted(map(str, files))
