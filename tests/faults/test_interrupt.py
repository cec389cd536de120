"""Ctrl-C: the program ends at once with one traceback and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_programs import start_fault_program
from gate import Gate, until

import millpond
from millpond.pool import Pool
from millpond.synchronize import Event

PoolMaker = Callable[..., Pool]

CALLS = [
    "map",
    "map in with",
    "apply",
    "get",
    "get with timeout",
    "wait",
    "imap",
    "imap_unordered",
    "imap of a generator",
    "next",
    "join of an input that waits",
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


def exit_when_interrupted(began: Event, never: Event) -> None:
    try:
        began.set()
        never.wait()
    except KeyboardInterrupt:
        sys.exit(7)


def test_a_process_is_interrupted(start_method: str) -> None:
    """As in CPython 3.14, which takes `kwargs=None` too, whatever the version."""
    context: Any = millpond.get_context(start_method)
    events = context.Event(), context.Event()
    process = context.Process(target=exit_when_interrupted, args=events, kwargs=None)
    process.start()
    events[0].wait()
    process.interrupt()
    process.join()
    assert process.exitcode == 7
    process.close()
    with pytest.raises(ValueError, match="closed"):
        process.interrupt()


def test_a_worker_is_interrupted_in_its_task(make_pool: PoolMaker, gate: Gate) -> None:
    """By a method that processes have since CPython 3.14, whatever the version."""
    pool = make_pool(1)
    running = pool.apply_async(gate.hold)
    pid = gate.wait_for(1)[0]
    (worker,) = pool._pool
    worker.interrupt()
    with pytest.raises(millpond.TaskExited, match="KeyboardInterrupt"):
        running.get()
    worker.interrupt()
    assert pool.apply(os.getpid) == pid
    pool.terminate()
    pool.join()
    worker.interrupt()
    assert worker.exitcode == -signal.SIGTERM


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


def handler() -> str:
    return repr(signal.getsignal(signal.SIGINT))


def test_a_worker_has_a_handler_of_the_pool(start_method: str) -> None:
    with millpond.get_context(start_method).Pool(1) as pool:
        assert "Interrupts" in pool.apply(handler)
        pool.apply(signal.signal, (signal.SIGINT, signal.SIG_IGN))
        assert pool.apply(handler) == repr(signal.SIG_IGN)
