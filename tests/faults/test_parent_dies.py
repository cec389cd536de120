"""When the process with the pool dies, however it dies, its whole tree goes with it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from fault_programs import start_fault_program
from gate import until

VALUES = "[0, 2, 4, 6]\n"


@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_by_a_signal(start_method: str, state: str, number: signal.Signals, tmp_path: Path) -> None:
    with start_fault_program("hold_pool", start_method, state, tmp_path / "gate") as program:
        until(lambda: program.output() == "ready\n")
        assert len(program.pids()) >= 4
        os.kill(program.pid, number)
        done = program.finish()
    assert (done.returncode, done.stderr) == (-number, "")


@pytest.mark.parametrize("delay", [n * 0.02 for n in range(10)])
def test_by_a_kill_while_its_pool_starts(start_method: str, delay: float, tmp_path: Path) -> None:
    args = (start_method, "starting", tmp_path / "gate")
    with start_fault_program("hold_pool", *args) as program:
        until(lambda: program.output() == "ready\n")
        time.sleep(delay)
        os.kill(program.pid, signal.SIGKILL)
        done = program.finish()
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


def test_by_a_handler_of_sigterm_that_exits(start_method: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with start_fault_program("hold_pool", start_method, "handling SIGTERM", gate) as program:
        until(lambda: program.output() == "ready\n")
        os.kill(program.pid, signal.SIGTERM)
        done = program.finish()
    assert (done.returncode, done.stderr) == (7, "")
    if start_method == "fork":
        # Forked workers have the handler too: it ends them, not the pool's patience.
        assert len(list(gate.glob("worker-of-*-left"))) == 3


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("open", 0),
        ("open and busy", 0),
        ("closed", 0),
        ("closed and busy", 0),
        ("terminated", 0),
        ("half read", 0),
        ("deleted", 0),
        ("exiting", 5),
        ("exiting hard", 6),
    ],
)
def test_by_coming_to_its_end(start_method: str, state: str, status: int, tmp_path: Path) -> None:
    with start_fault_program("leave_pool", start_method, state, tmp_path / "gate") as program:
        done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (status, VALUES, "")


def test_by_an_exception(start_method: str, tmp_path: Path) -> None:
    with start_fault_program("leave_pool", start_method, "raising", tmp_path / "gate") as program:
        done = program.finish()
    assert (done.returncode, done.stdout) == (1, VALUES)
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("Unfinished\n")
