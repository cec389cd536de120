"""Workers that are forked while another thread is in the middle of an import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import run_program

MODULE = """
import gate
early = "early"
gate.begun.set()
gate.go.wait()
late = "late"
"""

GATE = """
import threading
begun, go = threading.Event(), threading.Event()
"""

PROGRAM = """
import importlib, os, signal, sys, threading
import gate, millpond
from millpond._pool import imports

def names():
    import module
    return [name for name in ("early", "late") if hasattr(module, name)]

def kill_worker(pool):
    os.kill(pool.apply(os.getpid), signal.SIGKILL)

class Clock:
    sleeps = 0
    monotonic = imports.time.monotonic

    @classmethod
    def sleep(cls, seconds):
        cls.sleeps += 1
        if sys.argv[1] == "ends":
            gate.go.set()
        imports_time.sleep(seconds)

imports_time, imports.time = imports.time, Clock
if sys.argv[1] == "lasts":
    imports._LONGEST_WAIT = 0.01

with millpond.get_context("fork").Pool(1) as pool:
    pid = pool.apply(os.getpid)
    thread = threading.Thread(target=importlib.import_module, args=("module",))
    thread.start()
    gate.begun.wait()
    for _ in range(2):
        kill_worker(pool)
        print(pool.apply(names))
        waited, Clock.sleeps = Clock.sleeps > 0, 0
        print("waited" if waited else "did not wait")
    gate.go.set()
    thread.join()
    print(names())
"""


@pytest.mark.parametrize(
    ("what", "seen"), [("ends", ["early", "late"]), ("lasts", ["early"])], ids=["ends", "lasts"]
)
def test_a_module_that_a_thread_imports(what: str, seen: list[str], tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "gate.py").write_text(GATE)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_program([sys.executable, program, what])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        str(seen),
        "waited",
        str(seen),
        "did not wait",
        str(["early", "late"]),
    ]
