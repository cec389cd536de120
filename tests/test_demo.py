"""The demo: its analysis on snippets, and all of it on a small library."""

from __future__ import annotations

import importlib
import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from support.program import Completed, run_program

DEMO = Path(__file__).parents[1] / "examples" / "demo"
SVG = "{http://www.w3.org/2000/svg}"

FILES = 48
FUNCTIONS_PER_FILE = 250


@pytest.fixture(scope="module")
def demo_module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the demo by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO))
        yield importlib.import_module


@pytest.fixture(scope="module")
def source_file(demo_module: Callable[[str], ModuleType]) -> ModuleType:
    """The module that analyses one file."""
    return demo_module("source_file")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A directory of sources, each of which takes a worker some milliseconds."""
    library = tmp_path / "library"
    package = library / "package"
    package.mkdir(parents=True)
    functions = "".join(
        f"    def method_{n}(self, item):\n        return item if item and self else None\n"
        for n in range(FUNCTIONS_PER_FILE)
    )
    for number in range(FILES):
        (package / f"module_{number}.py").write_text(f"class Class:\n{functions}")
    (library / "python2.py").write_text("print 'hello'\n")
    (library / "latin1.py").write_bytes(b"# -*- coding: latin-1 -*-\nna\xefve = 1\n")
    installed = library / "site-packages"
    installed.mkdir()
    (installed / "foreign.py").write_text("def foreign(): ...\n")
    return library


def run_demo(*arguments: str | Path) -> Completed:
    return run_program([sys.executable, DEMO / "analyse.py", *arguments])


def value(output: str, name: str) -> str:
    """The value in the row of that name."""
    match = re.search(rf"^{re.escape(name)}  +(.+)$", output, re.MULTILINE)
    assert match is not None, f"no row {name!r} in:\n{output}"
    return match[1]


def test_a_killed_worker_changes_nothing_in_the_results(library: Path, tmp_path: Path) -> None:
    timeline = tmp_path / "timeline.html"
    done = run_demo("--workers", "2", "--source", library, "--timeline", timeline)

    assert (done.returncode, done.stderr) == (0, "")
    assert value(done.stdout, "results") == "equal"
    assert int(value(done.stdout, "crashes survived")) >= 1
    assert 1 <= int(value(done.stdout, "files resubmitted")) <= FILES
    assert int(value(done.stdout, "workers replaced")) >= 1
    assert "was killed by SIGKILL while running analyse_file" in done.stdout

    assert value(done.stdout, "files") == str(FILES + 2)
    assert value(done.stdout, "files that do not parse") == "1"
    assert value(done.stdout, "classes") == str(FILES)
    assert value(done.stdout, "functions") == f"{FILES * FUNCTIONS_PER_FILE:,}"
    assert value(done.stdout, "mean complexity") == "3.00"
    assert f"{FILES * FUNCTIONS_PER_FILE * 2:,}  item" in done.stdout
    assert "python2.py  Missing parentheses" in done.stdout

    page = ElementTree.parse(timeline)
    crashes = [g for g in page.iter(f"{SVG}g") if g.get("class") == "crash"]
    told = [title.text or "" for g in crashes for title in g.iter(f"{SVG}title")]
    assert any("killed by SIGKILL" in text for text in told)


def test_without_a_kill_nothing_crashes(library: Path) -> None:
    done = run_demo("--no-kill", "--workers", "1", "--source", library)
    assert (done.returncode, done.stderr) == (0, "")
    assert value(done.stdout, "results") == "equal"
    assert value(done.stdout, "crashes survived") == "0"
    assert value(done.stdout, "files resubmitted") == "0"


def test_output_that_is_no_terminal_gets_no_bar(library: Path) -> None:
    done = run_demo("--no-kill", "--workers", "1", "--source", library)
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert re.search(rf"^serial: {FILES + 2} files in [\d.]+ s$", done.stdout, re.MULTILINE)


def test_wrong_arguments_are_explained(tmp_path: Path) -> None:
    nobody = run_demo("--workers", "0")
    assert nobody.returncode == 2
    assert "must be at least 1, not 0" in nobody.stderr
    nothing = run_demo("--source", tmp_path)
    assert nothing.returncode == 1
    assert f"no Python files in {tmp_path}" in nothing.stderr


class Terminal(io.StringIO):
    """Takes what a program would draw on a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_notes_above_it(demo_module: Callable[[str], ModuleType]) -> None:
    terminal = Terminal()
    progress = demo_module("progress").Progress("work", 4, "files", terminal)
    progress.advance(1)
    progress.note("mind the gap")
    progress.finish()
    bar, note, again, end = re.split(r"\r|\n", terminal.getvalue().strip())
    for line in (bar, again):
        assert line.startswith(f"work {'█' * 8}{'░' * 24}  25%  1/4 files")
    assert note == "mind the gap\x1b[K"
    assert re.fullmatch(r"work: 1 files in [\d.]+ s\x1b\[K", end)


COMPLEXITIES = {
    "pass": 1,
    "return 1 if a else 2": 2,
    "if a: pass\nelif b: pass\nelse: pass": 3,
    "for a in b: pass\nelse: pass": 2,
    "while a and b and not c: pass": 4,
    "return [x for x in a for y in x if y if x]": 5,
    "try: pass\nexcept A: pass\nexcept B: pass\nelse: pass\nfinally: pass": 3,
    "with a: assert b": 1,
    "return lambda: a or b": 2,
    "match a:\n    case 1 if b: pass\n    case 2 | 3: pass\n    case _: pass": 4,
    "match a:\n    case 1: pass\n    case b: pass": 2,
    "match a:\n    case 1: pass\n    case _ if b: pass": 3,
    "class C:\n    x = 1 if a else 2": 2,
    "def g(x=a or b):\n    if c: pass": 2,
}


@pytest.mark.parametrize(("body", "complexity"), COMPLEXITIES.items())
def test_complexity_is_the_number_of_decisions_and_one(
    source_file: ModuleType, body: str, complexity: int
) -> None:
    source = f"def f():\n{textwrap.indent(body, '    ')}\n"
    report = source_file.analyse_source("snippet.py", source.encode())
    assert {f.name: f.complexity for f in report.functions}["f"] == complexity


def test_functions_have_qualified_names_and_complexities_of_their_own(
    source_file: ModuleType,
) -> None:
    source = textwrap.dedent(
        """
        class A:
            async def m(self):
                def inner():
                    if x: pass
                class B:
                    def n(self): pass
        """
    )
    report = source_file.analyse_source("snippet.py", source.encode())
    assert report.functions == (("A.m", 3, 1), ("A.m.B.n", 7, 1), ("A.m.inner", 4, 2))
    assert (report.classes, report.lines) == (2, 7)


def test_names_are_counted_where_they_are_used(source_file: ModuleType) -> None:
    report = source_file.analyse_source("snippet.py", b"a = b.a + f'{a}'\ndef c(d): return d\n")
    assert report.names == {"a": 2, "b": 1, "d": 1}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"def f(:\n", "invalid syntax"),
        (b"# coding: no-such-encoding\n", "unknown encoding: no-such-encoding"),
        (b"x = 1\0\n", "null bytes"),
    ],
)
def test_what_does_not_parse_is_reported(
    source_file: ModuleType, source: bytes, problem: str
) -> None:
    report = source_file.analyse_source("snippet.py", source)
    assert problem in report.problem
    assert report.functions == ()


def test_a_file_that_cannot_be_read_is_reported(source_file: ModuleType, tmp_path: Path) -> None:
    report = source_file.analyse_file(str(tmp_path / "missing.py"))
    assert report.problem == "cannot be read: No such file or directory"
