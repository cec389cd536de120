"""Locks and semaphores whose holders are killed."""

from __future__ import annotations

import mmap
import os
from typing import Any

import millpond
from chaos.runner import Fault, Role, Slot
from chaos.scenario import Outcome, Scenario

# States. A lock user that is killed while it acquires may have been told of a death before it.
ACQUIRING, HOLDING, RELEASING = 1, 2, 3
# Notes: how often a lock user was told that the owner had died, and how often it has found data
# half changed of which another had been told.
TOLD, INHERITED = 0, 1
USERS = 4


class LockScenario(Scenario):
    """Two counters that are equal whenever nobody holds the lock, unless a holder has died.

    The counters and the word that says who is inside lie in plain shared memory: nothing but the
    lock protects them. Every kill of a holder must be told to somebody who acquires, and no one
    may find the counters apart unless a death was told.
    """

    name = "lock"

    def make_lock(self) -> Any:
        return self.make("Lock")

    def set_up(self) -> None:
        self.lock = self.make_lock()
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.data = memoryview(self.memory).cast("q")
        for _ in range(USERS):
            self.runner.start_role("user", self.use)

    def use(self, slot: Slot) -> None:
        while not slot.phase:
            slot.state = ACQUIRING
            try:
                self.acquire()
            except millpond.OwnerDied:
                slot.count(TOLD)
                continue
            slot.state = HOLDING
            self.change(slot)
            slot.state = RELEASING
            self.release()
            slot.state = 0
            slot.beat()

    def acquire(self) -> None:
        self.lock.acquire()

    def release(self) -> None:
        self.lock.release()

    def change(self, slot: Slot) -> None:
        data, pid = self.data, os.getpid()
        if data[2] != 0 and _lives(data[2]):
            raise Fault(f"process {data[2]} is inside, too")
        data[2] = pid
        if data[0] != data[1]:
            slot.count(INHERITED)
            data[1] = data[0]
        data[0] += 1
        for _ in range(slot.beats % 50):
            pass
        data[1] += 1
        if data[2] != pid:
            raise Fault(f"process {data[2]} came in, too")
        data[2] = 0

    def check(self, outcome: Outcome) -> None:
        told, inherited = self.total(TOLD), self.total(INHERITED)
        holders = self.killed("user", HOLDING)
        # Killed at a moment at which it may have held the lock, or may have just been told.
        unclear = self.killed("user", ACQUIRING) + self.killed("user", RELEASING)
        outcome.remarks.update({"holders killed": holders, "told": told})
        if told + self.killed("user", ACQUIRING) < holders:
            outcome.faults.append(f"{holders} holders were killed, {told} deaths told")
        if told > holders + unclear:
            outcome.faults.append(f"{told} deaths told, at most {holders + unclear} happened")
        if inherited > told + self.killed("user", ACQUIRING):
            outcome.faults.append(f"{inherited} found half changed data, {told} deaths told")
        self.data.release()
        self.memory.close()


class RLockScenario(LockScenario):
    """The same under a reentrant lock that is held twice."""

    name = "rlock"

    def make_lock(self) -> Any:
        return self.make("RLock")

    def acquire(self) -> None:
        self.lock.acquire()
        self.lock.acquire()

    def release(self) -> None:
        self.lock.release()
        self.lock.release()


class ValueScenario(LockScenario):
    """The same under the lock of a value, by `with`; the value counts, too."""

    name = "value"

    def make_lock(self) -> Any:
        self.value = self.make("Value", "q", 0)
        return self.value.get_lock()

    def change(self, slot: Slot) -> None:
        super().change(slot)
        self.value.value += 1


class SemaphoreScenario(Scenario):
    """A few permits, more users; what the dead held comes back."""

    name = "semaphore"
    permits = 2
    kind = "Semaphore"

    def set_up(self) -> None:
        self.semaphore = self.make(self.kind, self.permits)
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        # By slot, the pid of the user inside.
        self.inside = memoryview(self.memory).cast("q")
        for _ in range(USERS + 1):
            self.runner.start_role("user", self.use)

    def use(self, slot: Slot) -> None:
        self.inside[slot.number] = 0
        while not slot.phase:
            slot.state = ACQUIRING
            self.semaphore.acquire()
            slot.state = HOLDING
            self.inside[slot.number] = os.getpid()
            there = [pid for pid in self.inside[: USERS + 1] if pid and _lives(pid)]
            if len(there) > self.permits and self._still(there):
                raise Fault(f"{there} are inside with {self.permits} permits")
            self.inside[slot.number] = 0
            slot.state = RELEASING
            self.semaphore.release()
            slot.state = 0
            slot.beat()

    def _still(self, there: list[int]) -> bool:
        """One may have left, or have died, while another was looked at."""
        return all(pid in self.inside[: USERS + 1].tolist() and _lives(pid) for pid in there)

    def check(self, outcome: Outcome) -> None:
        outcome.remarks["holders killed"] = self.killed("user", HOLDING)
        self.inside.release()
        self.memory.close()
        self.runner.run_aside(self.take_all, "taking all permits")

    def take_all(self) -> None:
        for _ in range(self.permits):
            self.semaphore.acquire()
        if self.semaphore.acquire(block=False):
            raise Fault("there are more permits than at first")
        for _ in range(self.permits):
            self.semaphore.release()

    def on_kill(self, role: Role) -> None:
        self.inside[role.slot.number] = 0


class BoundedSemaphoreScenario(SemaphoreScenario):
    """The same; a permit too many would be an error of `release`."""

    name = "bounded semaphore"
    kind = "BoundedSemaphore"


def _lives(pid: int) -> bool:
    """Whether a process is there and not merely a zombie: the dead hold nothing."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
