"""Roles in processes of their own, killed at random and restarted, watched all the time.

A role runs a function for ever. It sits on a `Slot`, a few words of shared memory that outlive it:
there it counts its progress, and says what it is about to do, so that after its death it is known
how far it had come. Each word has one writer, the role, and readers need no more than to see it
whole, which an aligned word of memory grants.
"""

from __future__ import annotations

import collections
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from support.processes import post_mortem, wait_until

import millpond

# In seconds, for anything that has to happen on a loaded machine. It ends a run that hangs; no
# run that goes well depends on it.
BOUND = 30.0

# Progress that each role must make after the last kill.
LAST_BEATS = 20

# The mean of the pauses between kills, in seconds; now and then several die at once.
MEAN_PAUSE = 0.006
BURST = 0.1


class Hang(Exception):
    """A role made no progress, or the end did not come."""


class Fault(Exception):
    """A role failed by itself."""


class Slot:
    """What is known of a role beyond the life of its process."""

    WORDS = 8

    def __init__(self, cells: memoryview, stop: memoryview, name: str, number: int) -> None:
        self._cells = cells
        self._stop = stop
        self.name = name
        self.number = number
        """Its place among the slots, from 0 on."""

    @property
    def phase(self) -> int:
        """0 while the run goes on; then the number of the exit, which tells who leaves."""
        return int(self._stop[0])

    @property
    def beats(self) -> int:
        """How often the role has made progress."""
        return int(self._cells[0])

    def beat(self) -> None:
        self._cells[0] += 1

    @property
    def state(self) -> int:
        """What the role is about to do or has in hand; the scenario says what it means."""
        return int(self._cells[1])

    @state.setter
    def state(self, state: int) -> None:
        self._cells[1] = state

    def note(self, word: int) -> int:
        """One of the scenario's own numbers of this slot, 0 to 5."""
        return int(self._cells[2 + word])

    def set_note(self, word: int, value: int) -> None:
        self._cells[2 + word] = value

    def count(self, word: int) -> None:
        self._cells[2 + word] += 1


Part = Callable[[Slot], None]


class Role:
    """A part, its slot, and the process that runs it at the moment."""

    def __init__(self, slot: Slot, part: Part, exit_phase: int) -> None:
        self.slot = slot
        self.part = part
        self.exit_phase = exit_phase
        self.process: Any = None
        self.kills = 0
        self.seen = (0, time.monotonic())

    def start(self, context: Any) -> None:
        self.process = context.Process(target=_run, args=(self.part, self.slot))
        self.process.start()
        self.seen = (self.slot.beats, time.monotonic())


def _run(part: Part, slot: Slot) -> None:
    part(slot)
    # Nothing to clean up: the process has made nothing of its own.
    sys.stderr.flush()
    os._exit(0)


class Runner:
    """The roles of one scenario, and the one who kills them.

    Args:
        random: decides who dies, and when.
        on_kill: told of each role that was killed, after its death and before its new start.
        victims: more pids that may be killed, beside those of the roles.
    """

    def __init__(
        self,
        random: random.Random,
        on_kill: Callable[[Role], None] = lambda role: None,
        victims: Callable[[], list[int]] = list,
    ) -> None:
        self.roles: list[Role] = []
        self.killed: collections.Counter[tuple[str, int]] = collections.Counter()
        """Kills by the role's name and its state at its death."""
        self.kills = 0
        self._random = random
        self._on_kill = on_kill
        self._victims = victims
        self._context = millpond.get_context("fork")
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._cells = memoryview(self._memory).cast("q")

    def start_role(self, name: str, part: Part, exit_phase: int = 1) -> Slot:
        """Adds a role that leaves by itself once the phase is its `exit_phase`."""
        number = len(self.roles)
        start = 1 + number * Slot.WORDS
        cells = self._cells[start : start + Slot.WORDS]
        slot = Slot(cells, self._cells[:1], name, number)
        self.roles.append(Role(slot, part, exit_phase))
        return slot

    def perform(self, kills: int, told: Callable[[int], None]) -> None:
        """Runs until so many were killed, then until all have made progress once more.

        Raises:
            Hang: a role did not make progress, with the stacks of all on stderr.
            Fault: a role ended by itself.
        """
        for role in self.roles:
            role.start(self._context)
        self._await_beats(1, "after the start")
        while self.kills < kills:
            self._watch_for(self._random.expovariate(1 / MEAN_PAUSE))
            burst = self._random.random() < BURST
            for _ in range(self._random.randint(2, 3) if burst else 1):
                if self.kills < kills:
                    self._kill_one()
            told(self.kills)
        self._await_beats(LAST_BEATS, "after the last kill")

    def begin_phase(self, phase: int) -> None:
        """Lets the roles know that an exit is open."""
        self._cells[0] = phase

    def leave(self, phase: int) -> None:
        """Opens an exit, and waits until all whose exit it is have left.

        Raises:
            Hang: they did not.
            Fault: one of them failed.
        """
        self.begin_phase(phase)
        leaving = [role for role in self.roles if role.exit_phase == phase]
        for role in leaving:
            role.process.join(BOUND)
            if role.process.exitcode is None:
                self._hang(f"{role.slot.name} did not end at exit {phase}")
            self._check(role, may_have_ended=True)

    def run_aside(self, function: Callable[[], None], what: str) -> None:
        """Runs a function in a process of its own, so that a hang in it is seen."""
        process: Any = self._context.Process(target=function)
        process.start()
        process.join(BOUND)
        if process.exitcode is None:
            self._hang(f"{what} did not end", process.pid)
        if process.exitcode != 0:
            raise Fault(f"{what} ended with {process.exitcode}")

    def close(self) -> None:
        """Kills whoever is left, and gives the memory back."""
        for role in self.roles:
            if role.process is not None:
                if role.process.exitcode is None:
                    role.process.kill()
                role.process.join()
                role.process.close()
            role.slot._cells.release()
            role.slot._stop.release()
        self.roles.clear()
        self._cells.release()
        self._memory.close()

    def _watch_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for role in self.roles:
                self._check(role)
                beats, since = role.seen
                if role.slot.beats != beats:
                    role.seen = (role.slot.beats, now)
                elif now - since > BOUND:
                    self._hang(f"{role.slot.name} made no progress")
            if now >= end:
                return
            time.sleep(min(end - now, 0.02))

    def _check(self, role: Role, may_have_ended: bool = False) -> None:
        code = role.process.exitcode
        if code is not None and not (may_have_ended and code == 0):
            raise Fault(f"{role.slot.name} ended by itself with {code}")

    def _kill_one(self) -> None:
        victims: list[Any] = [*self.roles, *self._victims()]
        victim = self._random.choice(victims)
        self.kills += 1
        if not isinstance(victim, Role):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                self.kills -= 1
            return
        victim.process.kill()
        victim.process.join(BOUND)
        if victim.process.exitcode != -signal.SIGKILL:
            raise Fault(f"{victim.slot.name} ended with {victim.process.exitcode}, not by the kill")
        victim.kills += 1
        self.killed[victim.slot.name, victim.slot.state] += 1
        self._on_kill(victim)
        victim.process.close()
        victim.start(self._context)

    def _await_beats(self, count: int, when: str) -> None:
        start = [role.slot.beats for role in self.roles]

        def all_have() -> bool:
            for role in self.roles:
                self._check(role)
            return all(
                role.slot.beats - before >= count
                for role, before in zip(self.roles, start, strict=True)
            )

        if not wait_until(all_have, BOUND):
            still = [
                role.slot.name
                for role, before in zip(self.roles, start, strict=True)
                if role.slot.beats - before < count
            ]
            self._hang(f"{', '.join(still)} made too little progress {when}")

    def _hang(self, what: str, *more: int) -> None:
        states = ", ".join(
            f"{role.slot.name} {role.process.pid} in state {role.slot.state}" for role in self.roles
        )
        pids = [role.process.pid for role in self.roles if role.process.exitcode is None]
        print(f"HANG: {what}; {states}", file=sys.stderr)
        print(post_mortem([*pids, *more]), file=sys.stderr, flush=True)
        raise Hang(what)
