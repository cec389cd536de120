"""Small programs that must do the same on millpond as on the standard library.

Each file of `cases/` was written after something that once went wrong. Lines at its top say how it
is run:

    # methods: fork spawn     the start methods; `fork` by default
    # ways: import install    how millpond gets in; `import` by default
    # needs: pandas joblib    modules without which it is skipped

A program takes `mp`, `context` and `show` from `subject.py` and prints what it finds. Its output
and exit status under plain Python are what is right.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest
from support.program import Completed, run_program

HERE = Path(__file__).parent
DEFAULTS = {"methods": "fork", "ways": "import", "needs": ""}


def header(program: Path, name: str) -> list[str]:
    match = re.search(rf"^# {name}: *(.*)$", program.read_text(), re.MULTILINE)
    return (match[1] if match else DEFAULTS[name]).split()


def cases() -> list[object]:
    return [
        pytest.param(program, way, method, id=f"{program.stem}-{way}-{method}")
        for program in sorted((HERE / "cases").glob("*.py"))
        for way in header(program, "ways")
        for method in header(program, "methods")
    ]


def run(program: Path, way: str, method: str, folder: Path) -> Completed:
    folder.mkdir()
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"IMPL": way, "METHOD": method, "PYTHONPATH": path}
    if way == "plain":
        # Workers that the standard library's pool forks later print again what is not written yet.
        environment["PYTHONUNBUFFERED"] = "1"
    return run_program([sys.executable, program], env=environment, cwd=folder)


@pytest.mark.parametrize(("program", "way", "method"), cases())
def test_does_the_same(program: Path, way: str, method: str, tmp_path: Path) -> None:
    for module in header(program, "needs"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} (tools/requirements-programs.txt) is not installed")
    plain = run(program, "plain", method, tmp_path / "plain")
    ours = run(program, way, method, tmp_path / "ours")
    assert plain.stdout.strip(), f"the program says nothing under plain Python: {plain.stderr}"
    assert ours.stdout.splitlines() == plain.stdout.splitlines(), ours.stderr
    assert ours.returncode == plain.returncode
