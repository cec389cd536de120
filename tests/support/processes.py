"""The process table of /proc, and what can be learned about a process that hangs."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# How long a process that is told to abort gets for writing its traceback.
ABORT_GRACE = 3.0


def abort_on_purpose() -> None:
    """Die as by a failed assertion of C, without the traceback that a real one gets."""
    faulthandler.disable()
    os.abort()


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat, as far as the tests need it."""

    pid: int
    name: str
    state: str
    parent: int
    group: int

    @property
    def is_zombie(self) -> bool:
        return self.state in "ZX"


def process_table() -> dict[int, Process]:
    """Every process of the machine, by pid."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    line = stat.read().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name stands in parentheses and may hold any character.
            head, _, tail = line.rpartition(")")
            pid, _, name = head.partition(" (")
            state, parent, group = tail.split()[:3]
            table[int(pid)] = Process(int(pid), name, state, int(parent), int(group))
    return table


def with_descendants(table: dict[int, Process], roots: Iterable[int]) -> set[int]:
    """The pids in `roots` and all that descend from them."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += children.get(pid, [])
    return found


def marked(mark: str) -> set[int]:
    """The living processes with `mark` (NAME=VALUE) in the environment of their last exec."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and mark.encode() in _read_bytes(f"/proc/{entry}/environ").split(b"\0"):
            found.add(int(entry))
    return found


def command_of(pid: int) -> str:
    """The command line of a process, or the empty string once it has ended."""
    return _read_bytes(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def describe(pid: int) -> str:
    """One line: who the process is."""
    status = dict(re.findall(r"^(\w+):\s*(.*)$", _read(f"/proc/{pid}/status"), re.M))
    if not status:
        return f"process {pid}: gone"
    command = command_of(pid) or f"[{status['Name']}]"
    return f"process {pid}, child of {status['PPid']}, {status['State']}: {command}"


def report(pid: int) -> str:
    """Several lines: where every thread of the process stands, as far as the system tells."""
    lines = [describe(pid)]
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        facts = (_read(f"{task}/{file}").strip() for file in ("comm", "wchan", "syscall"))
        name, place, call = facts
        lines.append(f"  thread {task.name} {name!r} in {place}, system call {call}")
        lines += [f"    {frame}" for frame in _read(f"{task}/stack").splitlines()]
    return "\n".join(lines + _native_stacks(pid))


def post_mortem(pids: Iterable[int]) -> str:
    """Report on processes that hang, have each Python write its traceback, and kill them all.

    The tracebacks go to the standard error of those processes, provided that they run with
    PYTHONFAULTHANDLER set or forked from one that does.
    """
    pids = sorted(pids)
    text = "\n".join(map(report, pids))
    for pid in pids:
        if _catches_abort(pid):
            send(pid, signal.SIGABRT)
            # One after the other, lest their tracebacks run into each other.
            wait_until(partial(_has_ended, pid), ABORT_GRACE)
    for pid in pids:
        send(pid, signal.SIGKILL)
    return text


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Poll until the condition holds, at most for so long; whether it does."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def _has_ended(pid: int) -> bool:
    return not _read_bytes(f"/proc/{pid}/cmdline")


def _catches_abort(pid: int) -> bool:
    mask = re.search(r"^SigCgt:\s*(\w+)", _read(f"/proc/{pid}/status"), re.M)
    return mask is not None and bool(int(mask[1], 16) >> (signal.SIGABRT - 1) & 1)


def _native_stacks(pid: int) -> list[str]:
    """The stacks of compiled code, where the machine happens to have a debugger."""
    debugger = shutil.which("gdb")
    if debugger is None:
        return []
    done = subprocess.run(
        [debugger, "-p", str(pid), "-batch", "-nx", "-ex", "thread apply all backtrace 12"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return [f"  {line}" for line in done.stdout.splitlines() if line.startswith(("#", "Thread "))]


def _read_bytes(path: str) -> bytes:
    """The contents of a file of /proc; nothing where the process has ended or is not ours."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _read(path: str) -> str:
    return _read_bytes(path).decode(errors="replace")
