"""Pipes of which each process has one end alone: whoever is left learns that the other is dead."""

from __future__ import annotations

import os
import random
import select
from typing import Any

import millpond
from chaos.channels import check_item, item
from chaos.runner import BOUND, Fault, Hang, Role, Slot
from chaos.scenario import Outcome, Scenario

HOSTS = 3
# Before its peer is killed, a host moves up to so many items.
MOST = 30
# A host's note: its peer.
PEER = 0

# What becomes of a call at one end when there is no other end any more.
Gone = (EOFError, BrokenPipeError, ConnectionResetError)


class PeersScenario(Scenario):
    """Hosts that talk to a peer over a pipe of their own and kill it, and are killed themselves.

    A host whose peer is dead must get all that had been sent, undamaged and in order, and then an
    end of file; or, when it sends, an error. A peer whose host is dead must end by itself.
    """

    name = "pipe, lone ends"

    def set_up(self) -> None:
        self.orphans: list[int] = []
        for _ in range(HOSTS):
            self.runner.start_role("host", self.host)

    def host(self, slot: Slot) -> None:
        context = millpond.get_context("fork")
        # Forked from one process, the hosts would all throw the same dice.
        dice = random.Random(os.urandom(8))
        while not slot.phase:
            sends = dice.random() < 0.5
            ours, theirs = self.make("Pipe")
            peer: Any = context.Process(target=self.peer, args=(ours, theirs, not sends))
            peer.start()
            slot.set_note(PEER, peer.pid)
            theirs.close()
            until = dice.randrange(MOST)
            (self.send if sends else self.receive)(ours, until, peer)
            ours.close()
            peer.join()
            peer.close()
            slot.set_note(PEER, 0)
            slot.beat()

    def send(self, end: Any, until: int, peer: Any) -> None:
        number = 0
        try:
            while True:
                if number == until:
                    peer.kill()
                end.send(item(0, number))
                number += 1
        except Gone:
            if number < until:
                raise Fault(f"the pipe was gone after {number} of {until} items") from None

    def receive(self, end: Any, until: int, peer: Any) -> None:
        number = 0
        try:
            while True:
                if number == until:
                    peer.kill()
                if check_item(end.recv()) != (0, number):
                    raise Fault(f"another item than {number} arrived")
                number += 1
        except Gone:
            if number < until:
                raise Fault(f"the pipe was gone after {number} of {until} items") from None

    def peer(self, ours: Any, theirs: Any, sends: bool) -> None:
        ours.close()
        number = 0
        try:
            while True:
                if sends:
                    theirs.send(item(0, number))
                elif check_item(theirs.recv()) != (0, number):
                    raise Fault(f"another item than {number} arrived")
                number += 1
        except Gone:
            os._exit(0)

    def on_kill(self, role: Role) -> None:
        pid = role.slot.note(PEER)
        role.slot.set_note(PEER, 0)
        if pid:
            try:
                self.orphans.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return
        # So that a run of many kills does not gather descriptors.
        self.orphans = [orphan for orphan in self.orphans if not has_ended(orphan, 0)]

    def check(self, outcome: Outcome) -> None:
        while self.orphans:
            if not has_ended(self.orphans[-1], BOUND):
                raise Hang("a peer of a host that was killed did not notice")
            self.orphans.pop()


def has_ended(pidfd: int, timeout: float) -> bool:
    """Whether a process ends in time; its descriptor is closed if so."""
    ended, _, _ = select.select([pidfd], [], [], timeout)
    if ended:
        os.close(pidfd)
    return bool(ended)
