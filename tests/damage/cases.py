"""One case: an object, a process that damages it, and those that use it then.

A case runs in a process of its own, whose seed says all that is random in it. It fails if a call
raises what its kind does not expect, if a process dies of a signal, or if it takes longer than
`LIMIT`; then each process writes what its threads do.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from support.processes import process_table

from damage.memory import damage
from damage.objects import Kind, makers

LIMIT = 20
"""After so many seconds a case hangs."""
AT_ONCE = 6
"""How many cases run at a time: most of the time they wait."""
MOST_MEMORY = 1 << 30
"""How many bytes a process of a case may have in memory."""
FAULT = 3


@dataclass
class Outcome:
    """How the cases of a kind ended."""

    name: str
    cases: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def attempt(kind: Kind, seed: str) -> Counter[str]:
    """Make all calls of a kind, and count how they ended."""
    ended: Counter[str] = Counter()
    for call in kind.calls(random.Random(seed)):
        try:
            call()
            ended["result"] += 1
        except kind.expected as error:
            ended[type(error).__name__] += 1
    return ended


def child(run: Callable[[], object]) -> int:
    """Fork a process that runs something, and ends; a fault is told by its status."""
    pid = os.fork()
    if pid == 0:
        leave(run)
    return pid


def leave(run: Callable[[], object]) -> NoReturn:
    status = FAULT
    try:
        run()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def one_object(name: str, seed: int, report: Path) -> None:
    """Damage an object and use it in four processes."""
    source = random.Random(f"{name} {seed}")
    kind = makers()[name]()
    kind.prepare()

    def spoil() -> None:
        attempt(kind, f"{seed}")
        damage(source)
        match source.choice(["use", "die", "end"]):
            case "use":
                attempt(kind, f"{seed}")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)

    def use() -> Counter[str]:
        return attempt(kind, f"{seed} again")

    # One that uses the object meanwhile.
    waiter = child(use) if kind.is_used_meanwhile and source.random() < 0.5 else None
    culprit = child(spoil)
    ends_well(culprit, "the one that damaged it", signal.SIGKILL)
    second = child(use)
    calls = use()
    ends_well(second, "another child")
    if waiter is not None:
        ends_well(waiter, "one that used it meanwhile")
    report.write_text(json.dumps(calls))
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        assert resource.getrusage(who).ru_maxrss << 10 < MOST_MEMORY, "it grew"


def ends_well(pid: int, who: str, *signals: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0 or -status in signals, f"{who} ended with {status}"


def run_cases(
    name: str,
    seeds: range,
    case: Callable[[str, int, Path], None] = one_object,
    at_once: int = AT_ONCE,
) -> Outcome:
    """Run the cases of a kind, some at a time."""
    # Each process of a case writes its threads' stacks when it is aborted.
    faulthandler.enable()
    outcome, began = Outcome(name), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        running: dict[int, Running] = {}
        waiting = iter(seeds)
        while True:
            while len(running) < at_once and (seed := next(waiting, None)) is not None:
                started = Running(seed, Path(folder, f"{seed}.err"), Path(folder, f"{seed}.calls"))
                running[started.start(name, case)] = started
            if not running:
                break
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                running.pop(pid).ends(pid, os.waitstatus_to_exitcode(status), outcome)
                continue
            for pid, started in running.items():
                started.watch(pid)
            time.sleep(0.002)
    outcome.seconds = time.monotonic() - began
    return outcome


@dataclass
class Running:
    """A case that runs, in a session of its own."""

    seed: int
    errors: Path
    report: Path
    began: float = field(default_factory=time.monotonic)
    hung: bool = False

    def start(self, name: str, case: Callable[[str, int, Path], None]) -> int:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(os.open(self.errors, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), 2)
            leave(lambda: case(name, self.seed, self.report))
        return pid

    def watch(self, pid: int) -> None:
        """Have a case that hangs say where, and end it."""
        if not self.hung and time.monotonic() - self.began > LIMIT:
            self.hung = True
            # The leader last: with it the case has ended.
            for member in [*members(pid), pid]:
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGABRT)
                    time.sleep(0.2)

    def ends(self, pid: int, status: int, outcome: Outcome) -> None:
        """Note how it ended, and end what it left behind."""
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        outcome.cases += 1
        if status != 0:
            text = self.errors.read_text(errors="replace").strip()
            outcome.faults.append((self.seed, f"ended with {status}\n{text}"))
        if self.report.exists():
            outcome.calls.update(json.loads(self.report.read_text()))
        self.errors.unlink()
        self.report.unlink(missing_ok=True)


def members(session: int) -> list[int]:
    """The other processes of a session."""
    return [p.pid for p in process_table().values() if p.group == session and p.pid != session]
