"""Tasks that take too long, die or fail; importable by workers of every start method."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import millpond
from millpond._engine_loader import load_engine

FOREVER = 3600.0


def in_python() -> None:
    end = time.monotonic() + FOREVER
    while time.monotonic() < end:
        pass


def in_a_call() -> None:
    time.sleep(FOREVER)


def in_c_that_holds_the_gil() -> None:
    sum(range(10**15))


def stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def with_signals_blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(FOREVER)


def deaf() -> None:
    while True:
        try:
            time.sleep(FOREVER)
        except millpond.TaskTimeout:
            pass


HEEDING = [in_python, in_a_call]
KILLED = [in_c_that_holds_the_gil, stopped, with_signals_blocked, deaf]


def unless(item: int, late: int, task: Callable[[], None]) -> int:
    """Return twice the item, unless it is the one that takes too long."""
    if item == late:
        task()
    return 2 * item


def partial_result(_: object = None) -> str:
    try:
        time.sleep(FOREVER)
    except millpond.TaskTimeout:
        return "what there is by now"
    return "all"


def start_family(note: Path) -> NoReturn:
    """Start a shell with a child, note the pids of both, and take too long."""
    script = f"sleep {FOREVER:.0f} & echo $$ $! > {note}.new; mv {note}.new {note}; wait"
    subprocess.Popen(["sh", "-c", script])
    while True:
        time.sleep(FOREVER)


def fail_or(item: int, failing: int) -> int:
    if item == failing:
        raise ValueError(item)
    return 2 * item


def die_or(item: int, doomed: int) -> int:
    if item == doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def counted(note: Path) -> int:
    """Return how often this has been called with a note."""
    with note.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(note.read_text().split())


def die_until(note: Path, times: int) -> int:
    if (count := counted(note)) < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def raise_until(note: Path, times: int) -> int:
    if (count := counted(note)) < times:
        raise OSError(count, "again")
    return count


def late_until(note: Path, times: int) -> int:
    if (count := counted(note)) < times:
        time.sleep(FOREVER)
    return count


def spoil_until(values: Any, note: Path, times: int) -> tuple[int, int]:
    """Write to an array that is read in place, and die."""
    total = int(values.sum())
    values[:] = 0
    return total, die_until(note, times)


class WarnedEarly:
    """An argument that a worker unpickles until it is warned, and returns the truth about it."""

    def __init__(self, was_warned: bool = False) -> None:
        self.was_warned = was_warned

    def __reduce__(self) -> Any:
        return unpickle_until_warned, ()


def unpickle_until_warned() -> WarnedEarly:
    # It may have come before this runs, as the function had to be imported.
    warnings: Any = signal.getsignal(load_engine().WARNING_SIGNAL)
    while not warnings._missed:
        time.sleep(0.001)
    return WarnedEarly(True)


def told(argument: WarnedEarly) -> bool:
    return argument.was_warned
