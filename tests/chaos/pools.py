"""A pool whose workers are killed, and whose owner is."""

from __future__ import annotations

import random
from typing import Any

from support.processes import process_table, with_descendants

import millpond
from chaos.runner import Fault, Slot
from chaos.scenario import Outcome, Scenario

TASKS = 40
# Notes.
CRASHED, BROKEN = 0, 1


def echo(number: int) -> tuple[int, bytes]:
    return number, bytes(number * 997 % 50_000)


class PoolScenario(Scenario):
    """Owners of pools: each task has one outcome, and with its owner all of a pool ends."""

    name = "pool"

    def set_up(self) -> None:
        for _ in range(2):
            self.runner.start_role("owner", self.own)

    def own(self, slot: Slot) -> None:
        while not slot.phase:
            try:
                with millpond.get_context("fork").Pool(2) as pool:
                    while not slot.phase and self.map(pool, slot):
                        slot.beat()
                pool.join()
            except millpond.BrokenPool:
                # Its workers died young, one after the other.
                slot.count(BROKEN)
                slot.beat()

    def map(self, pool: Any, slot: Slot) -> bool:
        """Whether the pool is worth another round."""
        results = pool.imap_unordered(echo, range(TASKS))
        seen: list[int] = []
        crashes = 0
        while True:
            try:
                number, payload = next(results)
            except StopIteration:
                break
            except millpond.WorkerCrashed:
                crashes += 1
                slot.count(CRASHED)
            else:
                if payload != bytes(number * 997 % 50_000):
                    raise Fault(f"the result of task {number} is damaged")
                seen.append(number)
        if len(seen) != len(set(seen)) or len(seen) + crashes != TASKS:
            raise Fault(f"{len(seen)} results and {crashes} crashes of {TASKS} tasks")
        return random.random() < 0.9

    def victims(self) -> list[int]:
        """All that the owners have started: workers, and the processes that start those."""
        table = process_table()
        owners = [role.process.pid for role in self.runner.roles]
        found = with_descendants(table, owners) - set(owners)
        return sorted(pid for pid in found if not table[pid].is_zombie)

    def check(self, outcome: Outcome) -> None:
        outcome.remarks.update({"crashed": self.total(CRASHED), "broken": self.total(BROKEN)})
