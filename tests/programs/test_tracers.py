"""Tracers and profilers see as many processes as with the standard library: no zygote."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from both import need
from support.program import run_program

PROGRAM = """\
import os, time
if os.environ["IMPL"] == "millpond":
    import millpond
    millpond.install()
import multiprocessing

def square(number):
    time.sleep(0.05)
    return number * number

if __name__ == "__main__":
    pool = multiprocessing.get_context(os.environ["METHOD"]).Pool(3)
    print(pool.map(square, range(12), chunksize=1))
    pool.close()
    pool.join()
"""

COVERAGE = """\
[run]
parallel = True
concurrency = multiprocessing
"""


def traced_processes(folder: Path) -> int:
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    return len({event["pid"] for event in events})


def memory_profiles(folder: Path) -> int:
    return len(list(folder.glob("profile*")))


def coverage_files(folder: Path) -> int:
    return len(list(folder.glob(".coverage.*")))


TOOLS: dict[str, tuple[list[str], Callable[[Path], int]]] = {
    "viztracer": (["--quiet", "-o", "trace.json"], traced_processes),
    "memray": (["run", "--quiet", "--follow-fork", "-o", "profile"], memory_profiles),
    "coverage": (["run", "--rcfile=settings"], coverage_files),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("tool", TOOLS)
def test_as_many_processes_are_seen(tool: str, method: str, tmp_path: Path) -> None:
    need(tool)
    options, count = TOOLS[tool]

    def seen(implementation: str) -> int:
        folder = tmp_path / implementation
        folder.mkdir()
        (folder / "program.py").write_text(PROGRAM)
        (folder / "settings").write_text(COVERAGE)
        environment = os.environ | {"IMPL": implementation, "METHOD": method}
        command = [sys.executable, "-m", tool, *options, "program.py"]
        done = run_program(command, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        assert str([number * number for number in range(12)]) in done.stdout
        return count(folder)

    assert seen("millpond") == seen("plain") > 0
