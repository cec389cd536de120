"""What type checkers make of millpond: the programs of tests/typing, as a user's would be checked.

Pyright is the one that basedpyright bundles, in the mode and with the rules of Pyright itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "typing"

# They are installed on the default interpreter alone.
pytest.importorskip("mypy")
pytest.importorskip("basedpyright")


def check(directory: Path, *command: str | Path) -> None:
    """Run a type checker apart from this project and its configuration."""
    environment = {k: v for k, v in os.environ.items() if k not in {"MYPYPATH", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def mypy(directory: Path, *what: str | Path) -> None:
    alone = ["--config-file=", f"--cache-dir={directory}", "--python-version=3.11"]
    check(directory, "mypy", "--strict", *alone, *what)


def pyright(directory: Path, project: Path) -> None:
    check(directory, "basedpyright", "--project", project, "--pythonpath", sys.executable)


COMPLETE = """
    arrays connection exceptions heap queues sharedctypes synchronize
""".split()
"""The modules in which no type of the public interface is left for type checkers to infer."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mypy(tmp_path: Path) -> None:
    mypy(tmp_path, PROGRAMS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pyright(tmp_path: Path) -> None:
    pyright(tmp_path, PROGRAMS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_type_is_unknown_or_inferred(tmp_path: Path) -> None:
    command = ["basedpyright", "--outputjson", "--ignoreexternal", "--verifytypes", "millpond"]
    # It looks for the package in the environment of the first `python` of the path.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    checked = {symbol["name"]: symbol["diagnostics"] for symbol in symbols if is_complete(symbol)}
    assert {"millpond.queues.Queue.put_nowait", "millpond.synchronize.Lock"} <= checked.keys()
    assert {name.split(".")[1] for name in checked} == {*COMPLETE}
    wrong = [
        f"{name}: {diagnostic['message']}"
        for name, diagnostics in checked.items()
        for diagnostic in diagnostics
        if diagnostic["severity"] == "error"
    ]
    assert not wrong, "\n".join(wrong)


def is_complete(symbol: dict[str, Any]) -> bool:
    """Return whether a symbol is one of the modules whose types are complete."""
    _, _, path = symbol["name"].partition(".")
    return path.partition(".")[0] in COMPLETE
