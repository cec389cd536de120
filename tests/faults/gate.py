"""A gate at which tasks wait until the test lets them go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def until(condition: Callable[[], object]) -> None:
    """Poll until the condition holds; the watchdog ends a wait that never does."""
    while not condition():
        time.sleep(0.005)


class Gate:
    """Made of files, so that it works between any processes and survives the death of any."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def hold(self, key: int = 0) -> int:
        """In a task: report that it is here, wait until the gate opens, return the own pid."""
        note = self.directory / f".{key}"
        note.write_text(str(os.getpid()))
        note.rename(self.directory / f"{key}")
        until((self.directory / "open").exists)
        return os.getpid()

    def open(self) -> None:
        """In the test: let all tasks go on, those to come too."""
        (self.directory / "open").touch()

    def arrivals(self) -> dict[int, int]:
        """The pid of every task that is, or was, at the gate, by its key."""
        keys = [entry.name for entry in self.directory.iterdir() if entry.name.isdigit()]
        return {int(key): int((self.directory / key).read_text()) for key in keys}

    def wait_for(self, number: int) -> dict[int, int]:
        """Wait until so many tasks have arrived."""
        until(lambda: len(self.arrivals()) >= number)
        return self.arrivals()
