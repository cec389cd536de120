"""A scenario: some primitives, roles that use them, and what has to be true of them at the end."""

from __future__ import annotations

import gc
import mmap
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.belongings import Belongings
from support.processes import wait_until

import millpond
from chaos.ledger import Account, Ledger
from chaos.runner import Fault, Hang, Role, Runner

# What something on its way out gets.
GRACE = 15.0

# The engine keeps one slab for each of its three sizes of slots, to make small primitives from, as
# long as the process lives. That many regions, and bytes in use of them, are no leak.
SLABS = 3
SLAB_BYTES = (64 << 10) + (256 << 10)
REGION = "/memfd:millpond"


class Absent(Exception):
    """What this build leaves to the stdlib, so that there is nothing to try."""


@dataclass
class Outcome:
    """What became of a scenario."""

    name: str
    kills: int = 0
    operations: int = 0
    hangs: int = 0
    lost: int = 0
    doubled: int = 0
    leaked: int = 0
    faults: list[str] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)
    skipped: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not (self.hangs or self.lost or self.doubled or self.leaked or self.faults)

    def add(self, account: Account) -> None:
        self.lost += account.lost
        self.doubled += account.doubled
        self.faults += account.faults
        self.remarks["arrived"] = self.remarks.get("arrived", 0) + account.arrived
        self.remarks["went down with a consumer"] = (
            self.remarks.get("went down with a consumer", 0) + account.excused
        )


class Scenario:
    """What all scenarios have in common. A subclass makes its primitives and roles in `set_up`."""

    name = ""

    def __init__(self, random: random.Random) -> None:
        self.random = random
        self.runner = Runner(random, self.on_kill, self.victims)
        self.ledgers: list[Ledger] = []

    # What a subclass gives.

    def set_up(self) -> None:
        raise NotImplementedError

    def on_kill(self, role: Role) -> None:
        """A role was killed and is about to start anew."""

    def victims(self) -> list[int]:
        """The pids of more processes that may be killed."""
        return []

    def wind_up(self) -> None:
        """Has all roles leave."""
        self.runner.leave(1)

    def check(self, outcome: Outcome) -> None:
        """Adds to the outcome what is wrong now that all have left."""

    # What it gets.

    def make(self, primitive: str, *arguments: Any, **keywords: Any) -> Any:
        made = getattr(millpond.get_context("fork"), primitive)(*arguments, **keywords)
        parts = made if isinstance(made, tuple) else (made,)
        if hasattr(made, "get_lock"):
            parts = (made, made.get_lock())
        if not all(type(part).__module__.startswith("millpond") for part in parts):
            raise Absent(f"millpond.{primitive} is the stdlib's in this build")
        return made

    def ledger(self) -> Ledger:
        ledger = Ledger()
        self.ledgers.append(ledger)
        return ledger

    def killed(self, name: str, state: int) -> int:
        return self.runner.killed[name, state]

    def total(self, word: int, name: str | None = None) -> int:
        """The sum of a note over all slots of a name."""
        return sum(
            role.slot.note(word) for role in self.runner.roles if name in (None, role.slot.name)
        )


def perform(
    kind: type[Scenario], kills: int, random: random.Random, told: Callable[[int], None]
) -> Outcome:
    """Runs a scenario to its end, and looks for what is left of it."""
    outcome = Outcome(kind.name)
    began = time.monotonic()
    before = Belongings.now()
    _run(kind, kills, random, told, outcome)
    gc.collect()
    if not outcome.skipped:
        _find_remains(before, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


def _run(
    kind: type[Scenario],
    kills: int,
    random: random.Random,
    told: Callable[[int], None],
    outcome: Outcome,
) -> None:
    """All references to the scenario's primitives end with this call."""
    scenario = kind(random)
    try:
        scenario.set_up()
        scenario.runner.perform(kills, told)
        scenario.wind_up()
        scenario.check(outcome)
    except Absent as reason:
        outcome.skipped = str(reason)
    except Hang as hang:
        outcome.hangs += 1
        outcome.faults.append(f"hang: {hang}")
    except Fault as fault:
        outcome.faults.append(str(fault))
    finally:
        outcome.kills = scenario.runner.kills
        outcome.operations = sum(role.slot.beats for role in scenario.runner.roles)
        scenario.runner.close()
        for ledger in scenario.ledgers:
            ledger.close()


def _find_remains(before: Belongings, outcome: Outcome) -> None:
    def remains() -> Belongings:
        millpond.active_children()
        added = Belongings.now() - before
        regions = {one for one in added.descriptors if one[1].startswith(REGION)}
        kept = frozenset(regions) if len(_regions()) <= SLABS else frozenset()
        return added - Belongings(descriptors=kept)

    if not wait_until(lambda: not remains(), GRACE):
        left = remains()
        outcome.leaked += len(left.processes) + len(left.descriptors) + len(left.shared_memory)
        outcome.faults.append(f"left behind: {left}")
    if not wait_until(lambda: shared_memory_in_use() <= SLAB_BYTES, GRACE):
        more = shared_memory_in_use() - SLAB_BYTES
        outcome.leaked += more // mmap.PAGESIZE
        outcome.faults.append(f"left behind: {more} bytes of shared memory in use")


def _regions() -> list[str]:
    """The descriptors of the engine's shared memory that this process has open."""
    targets = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{entry}"))
        except FileNotFoundError:  # the listing itself
            continue
    return [target for target in targets if target.startswith(REGION)]


def shared_memory_in_use() -> int:
    """Bytes of shared memory that this process has in use, mapped files of memory included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    return 0
