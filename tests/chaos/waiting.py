"""Conditions, events and barriers whose waiters and wakers are killed."""

from __future__ import annotations

import mmap
import threading
import time

import millpond
from chaos.runner import Slot
from chaos.scenario import Outcome, Scenario

WAITERS = 3
# Notes.
TOLD, BROKEN = 0, 1


class ConditionScenario(Scenario):
    """Two who advance a number and notify all, some who wait for it to change."""

    name = "condition"
    lock = "RLock"

    def set_up(self) -> None:
        self.condition = self.make("Condition", self.make(self.lock))
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.number = memoryview(self.memory).cast("q")
        for _ in range(WAITERS):
            self.runner.start_role("waiter", self.wait)
        for _ in range(2):
            self.runner.start_role("notifier", self.notify, exit_phase=2)

    def wait(self, slot: Slot) -> None:
        seen = 0
        while not slot.phase:
            try:
                with self.condition:
                    while self.number[0] == seen:
                        self.condition.wait()
                    seen = self.number[0]
            except millpond.OwnerDied:
                slot.count(TOLD)
            else:
                slot.beat()

    def notify(self, slot: Slot) -> None:
        while slot.phase < 2:
            try:
                with self.condition:
                    self.number[0] += 1
                    if slot.beats % 3:
                        self.condition.notify_all()
                    else:
                        self.condition.notify(WAITERS)
            except millpond.OwnerDied:
                slot.count(TOLD)
            else:
                slot.beat()

    def wind_up(self) -> None:
        self.runner.leave(1)
        self.runner.leave(2)

    def check(self, outcome: Outcome) -> None:
        outcome.remarks["told"] = self.total(TOLD)
        self.number.release()
        self.memory.close()


class ConditionOnLockScenario(ConditionScenario):
    """The same over a lock that is not reentrant."""

    name = "condition on a lock"
    lock = "Lock"


class EventScenario(Scenario):
    """One who sets and clears an event in turn with another, and some who wait for either."""

    name = "event"

    def set_up(self) -> None:
        self.event = self.make("Event")
        for _ in range(WAITERS):
            self.runner.start_role("waiter", self.wait)
        for _ in range(2):
            self.runner.start_role("setter", self.set, exit_phase=2)

    def wait(self, slot: Slot) -> None:
        while not slot.phase:
            self.event.wait()
            slot.beat()

    def set(self, slot: Slot) -> None:
        while slot.phase < 2:
            self.event.set()
            self.event.is_set()
            self.event.clear()
            slot.beat()
        self.event.set()

    def wind_up(self) -> None:
        self.runner.leave(1)
        self.runner.leave(2)


class BarrierScenario(Scenario):
    """Parties that meet again and again; a death breaks the barrier, and one who sees it mends it.

    Whoever comes through has met all others: no party is ever more than one crossing ahead.
    """

    name = "barrier"
    parties = 3

    def set_up(self) -> None:
        self.barrier = self.make("Barrier", self.parties)
        for _ in range(self.parties):
            self.runner.start_role("party", self.meet)

    def meet(self, slot: Slot) -> None:
        while not slot.phase:
            try:
                self.barrier.wait()
            except threading.BrokenBarrierError:
                slot.count(BROKEN)
                if slot.phase:
                    return
                # One is enough; that others may break each other's next try is part of the run.
                if slot.number == 0:
                    self.barrier.reset()
                else:
                    # Until it is mended, every try ends at once.
                    time.sleep(0.001)
                if slot.phase:
                    # It may have been mended after it was broken for good.
                    self.barrier.abort()
            slot.beat()

    def wind_up(self) -> None:
        # Who has left would be waited for: the others learn that there is no next time.
        self.runner.begin_phase(1)
        self.runner.run_aside(self.barrier.abort, "aborting the barrier")
        self.runner.leave(1)

    def check(self, outcome: Outcome) -> None:
        outcome.remarks["broken"] = self.total(BROKEN)
