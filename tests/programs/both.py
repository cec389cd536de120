"""Runs a program under plain Python and under `python -m millpond`, and compares the two."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.program import Completed, run_program

NOTE = "MILLPOND_TEST_NOTE"
"""The environment variable with the path where a program notes whose multiprocessing it has."""

SAY_WHOSE = f"""\
def say_whose():
    import multiprocessing.pool, os, sys
    millpond = sys.modules.get("millpond")
    installed = millpond is not None and millpond.is_installed()
    ours = installed and issubclass(multiprocessing.pool.Pool, millpond.pool.Pool)
    with open(os.environ["{NOTE}"], "a") as note:
        note.write("millpond\\n" if ours else "stdlib\\n")
"""
"""Source of a function by which a program notes it."""

FORK_WARNING = (
    r"\S+: DeprecationWarning: This process .* is multi-threaded, use of fork.*\n( .*\n)?"
)
"""How CPython 3.12 and newer warn at a fork beside threads, and the line of source below it.

The standard library's queues have a thread that ends when it gets round to it. So whether its
next fork warns is chance. millpond has no such thread: its side must never warn where the other
does not.
"""


def need(module: str) -> None:
    """Skip the tests of a module where what they run is not installed."""
    reason = f"{module} (tools/requirements-programs.txt) is for the default interpreter only"
    pytest.importorskip(module, reason=reason)


@dataclass(frozen=True)
class Both:
    """How a program went: its output without what differs from run to run, and its folder."""

    plain: Path
    millpond: Path
    returncode: int
    stdout: str
    stderr: str


def run_both(
    tmp_path: Path,
    make: Callable[[Path], object],
    arguments: list[str],
    *,
    notes: bool = True,
    unsteady: str = r"(?!)",
) -> Both:
    """Run a program both ways, each in a folder of its own; fail unless they do the same.

    Args:
        tmp_path: where to make the folders.
        make: fills a folder.
        arguments: what follows `python` or `python -m millpond`.
        notes: whether the program notes whose multiprocessing it has, at least once.
        unsteady: matches what else of the output differs from run to run.
    """

    def run(name: str, *prefix: str) -> tuple[Completed, Path]:
        folder = tmp_path / name
        folder.mkdir()
        make(folder)
        note = tmp_path / f"{name}.note"
        environment = os.environ | {NOTE: str(note), "PYTHONWARNINGS": "default"}
        environment.pop("COLUMNS", None)
        done = run_program([sys.executable, *prefix, *arguments], cwd=folder, env=environment)
        whose = set(note.read_text().split()) if note.exists() else set()
        expected = {"millpond" if prefix else "stdlib"} if notes else set()
        assert whose == expected, done.stdout + done.stderr
        return done, folder

    plain, plain_folder = run("plain")
    ours, our_folder = run("millpond", "-m", "millpond")
    if not re.search(FORK_WARNING, ours.stderr):
        plain = replace(plain, stderr=re.sub(FORK_WARNING, "", plain.stderr))
    outputs = [
        (
            done.returncode,
            steady(done.stdout, folder, unsteady),
            steady(done.stderr, folder, unsteady),
        )
        for done, folder in ((plain, plain_folder), (ours, our_folder))
    ]
    assert outputs[1] == outputs[0]
    return Both(plain_folder, our_folder, *outputs[0])


def steady(text: str, folder: Path, unsteady: str) -> str:
    """The output without what differs from run to run: the folder's path, times, pids."""
    text = text.replace(str(folder), "FOLDER")
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    text = re.sub(r"\b\d+\.\d+ ?s\b", "TIME", text)
    text = re.sub(r"pid=\d+", "pid=PID", text)
    text = re.sub(r"=+ (.*?) =+", r"= \1 =", text)
    return re.sub(unsteady, "", text)
