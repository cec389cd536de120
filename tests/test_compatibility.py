"""Each row of COMPATIBILITY.md names tests that would fail if it were false, and they exist.

The tests that other pages name exist, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conformance.differences import EXPECTED

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "COMPATIBILITY.md").read_text()

NAMED = re.compile(r"`((?:tests|crates)/[\w./-]+)(?:::(\w+))?`|`::(\w+)`")
"""A file, with or without a test of it, or another test of the file that was named before."""


@dataclass(frozen=True)
class Row:
    """A row of a table, or an item of a list."""

    section: str
    text: str

    @property
    def begin(self) -> str:
        """What tells it from others: its first cell, or its first words."""
        return f"{self.section}: {self.text.strip('|- ').partition(' | ')[0][:70]}"


def rows(page: str) -> Iterator[Row]:
    """What stands in tables and lists, below the first headline of a section."""
    for section in re.split("^## ", page, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        for table in re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", body, re.MULTILINE):
            yield from (Row(title, line) for line in table.splitlines())
        for item in re.findall(r"^- .*(?:\n  .*)*", body, re.MULTILINE):
            yield Row(title, " ".join(item.split()))


def named(text: str) -> Iterator[tuple[str, str]]:
    """The files that a text names, each with a test or with nothing."""
    path = ""
    for match in NAMED.finditer(text):
        path = match[1] or path
        yield path, match[2] or match[3] or ""


def is_test(path: str) -> bool:
    """Whether a file has tests, or is a program that a test compares."""
    name = Path(path)
    if name.suffix == ".rs":
        return "#[test]" in (ROOT / path).read_text() or "/tests/" in path
    return name.name.startswith("test_") or name.parent.name == "cases"


def exists(path: str, test: str) -> bool:
    """Whether there is such a file, and such a test in it."""
    file = ROOT / path
    if not test:
        return file.exists()
    return file.is_file() and bool(re.search(rf"\b(?:def|fn) {test}\(", file.read_text()))


def without_a_test(page: str) -> list[str]:
    """The rows that name none. Those about tests of CPython's are tests, and listed elsewhere."""
    return [
        row.begin
        for row in rows(page)
        if row.section != "CPython's own tests"
        and not any(exists(*test) and is_test(test[0]) for test in named(row.text))
    ]


def test_each_row_names_a_test() -> None:
    assert without_a_test(PAGE) == []


@pytest.mark.parametrize(
    "page", ["COMPATIBILITY.md", "docs/limits.md", "crates/millpond-core/REVIEW.md"]
)
def test_what_is_named_exists(page: str) -> None:
    assert [test for test in named((ROOT / page).read_text()) if not exists(*test)] == []


def test_the_tests_of_cpython_are_those_that_may_differ() -> None:
    listed = [row.text for row in rows(PAGE) if row.section == "CPython's own tests"]
    methods = {match[1] for row in listed if (match := re.match(r"\| `\w+\.(\w+)`", row))}
    assert methods == {name.rpartition(".")[2] for name in EXPECTED}
    assert len(listed) == len(methods)


def test_nothing_is_overlooked() -> None:
    sections = [row.section for row in rows(PAGE)]
    assert len(sections) > 120
    headlines = re.findall("^## (.*)", PAGE, re.MULTILINE)
    assert sorted(set(sections)) == sorted(headlines)
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    tables = PAGE.count("\n|---")
    assert len([row for row in rows(PAGE) if row.text.startswith("|")]) == len(lines) - tables


BAD_PAGE = """
- **before**: any section
## One
| a | b |
|---|---|
| right | so (`tests/test_compatibility.py::test_each_row_names_a_test`, `::is_test`) |
| names none | so |
| names what is gone | so (`tests/test_gone.py`) |
| names another test | so (`tests/test_names.py::test_gone`) |
| names no test | so (`tests/conftest.py`) |
## Two
- right in the
  end: `crates/millpond-core/tests/pipe/crash_points.rs`
- wrong
"""


def test_rows_that_name_none_are_found() -> None:
    assert without_a_test(BAD_PAGE) == [
        "One: names none",
        "One: names what is gone",
        "One: names another test",
        "One: names no test",
        "Two: wrong",
    ]
    gone = [test for test in named(BAD_PAGE) if not exists(*test)]
    assert gone == [("tests/test_gone.py", ""), ("tests/test_names.py", "test_gone")]
