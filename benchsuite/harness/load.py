"""Keeping the cores busy, and reading how busy a tree of processes keeps them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Ends by itself should its parent be killed.
_BUSY = """
import os
parent = os.getppid()
print("busy", flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy_cores() -> Iterator[None]:
    """Runs as many busy processes as there are cores; kills them at the end."""
    with ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BUSY], stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            if process.stdout.readline() != "busy\n":
                raise RuntimeError("a busy process did not start")
        yield


def cpu_seconds_of_tree() -> float:
    """CPU time so far of this process and all that descend from it, in the kernel's ticks."""
    parents = {}
    ticks = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        # The command may hold spaces and parentheses; what follows the last one does not.
        fields = stat.rpartition(")")[2].split()
        pid = int(entry.name)
        parents[pid] = int(fields[1])
        ticks[pid] = int(fields[11]) + int(fields[12])
    used = sum(ticks[pid] for pid in ticks if _descends(pid, os.getpid(), parents))
    return used / os.sysconf("SC_CLK_TCK")


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid != ancestor:
        if pid not in parents:
            return False
        pid = parents[pid]
    return True
