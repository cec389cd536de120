"""Ctrl-C: the program ends at once with one traceback and leaves nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fault_programs import start_fault_program
from gate import Gate, until

CALLS = [
    "map",
    "map in with",
    "apply",
    "get",
    "get with timeout",
    "wait",
    "imap",
    "imap_unordered",
    "join",
]


def wait_for_first_task(gate: Path) -> None:
    until((gate / "0").exists)


@pytest.mark.parametrize("options", [(), ("-m", "millpond")], ids=["plain", "runner"])
@pytest.mark.parametrize("call", CALLS)
def test_ends_the_program(
    start_method: str, call: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    args = (start_method, call, gate)
    with start_fault_program("interrupted_call", *args, options=options) as program:
        wait_for_first_task(gate)
        program.interrupt()
        done = program.finish()
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_workers_that_start_say_nothing(start_method: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with start_fault_program("interrupted_start", start_method, gate.directory) as program:
        gate.wait_for(2)
        program.interrupt()
        gate.open()
        done = program.finish()
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("Traceback") == 1, done.stderr


def test_a_program_that_catches_it_goes_on(start_method: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with start_fault_program("catch_interrupt", start_method, gate) as program:
        wait_for_first_task(gate)
        program.interrupt()
        done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 2, 4, 6, 8]\n", "")


def test_a_program_that_catches_it_while_workers_start_goes_on(
    start_method: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    args = (start_method, gate.directory, "catch")
    with start_fault_program("interrupted_start", *args) as program:
        gate.wait_for(2)
        program.interrupt()
        gate.open()
        done = program.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 2, 4, 6, 8]\n", "")


def test_a_second_one_while_the_first_is_dealt_with(start_method: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with start_fault_program("interrupted_call", start_method, "map in with", gate) as program:
        wait_for_first_task(gate)
        program.interrupt()
        program.interrupt()
        assert program.finish().returncode == -signal.SIGINT
