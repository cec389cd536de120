"""Accounts of items that go through a channel: which were sent, which arrived, what may be missing.

Every item is a number of its producer, counted from 1 on for the life of the slot. A producer
writes down the numbers that it is about to put, and how far its puts have returned:

- An item whose put returned is *committed*: it arrives exactly once. There is one excuse: a
  consumer that was killed after it had begun to get and before it had written down what it got.
  It takes at most as much with it as one of its calls can get.
- An item whose producer was killed within the put is *uncertain*: it may have arrived, once.
- Whatever else arrives was invented, doubled, damaged or out of order.
"""

from __future__ import annotations

import collections
import os
import struct
import tempfile
from dataclasses import dataclass, field

from chaos.runner import Role, Slot

# The state of a consumer from before it gets until it has written down what it got.
GETTING = 1
# A producer's notes: the last number that it tried to put, and the last whose put returned.
TRIED, DONE = 0, 1

_RECORD = struct.Struct("=qqq")


@dataclass
class Account:
    """The result of an audit."""

    arrived: int = 0
    uncertain: int = 0
    excused: int = 0
    """Items that went down with a killed consumer."""
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)


class Ledger:
    """What arrived, in a file that consumers append to: a kill cannot take back what is in it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115
        self._uncertain: set[tuple[int, int]] = set()
        self._may_be_missing = 0

    def put_begins(self, slot: Slot, count: int = 1) -> int:
        """Writes down that the producer puts its next numbers; the first of them."""
        first = slot.note(TRIED) + 1
        # What follows a death begins after all that was tried.
        slot.set_note(DONE, first - 1)
        slot.set_note(TRIED, first - 1 + count)
        return first

    def put_returned(self, slot: Slot) -> None:
        slot.set_note(DONE, slot.note(TRIED))
        slot.beat()

    def get_begins(self, slot: Slot) -> None:
        slot.state = GETTING

    def arrived(self, slot: Slot, items: list[tuple[int, int]]) -> None:
        """Writes down the producers and numbers of what the consumer got."""
        records = [_RECORD.pack(slot.number, producer, number) for producer, number in items]
        os.write(self._file.fileno(), b"".join(records))
        slot.state = 0
        slot.beat()

    def killed(self, role: Role, most: int = 1) -> None:
        """Settles what a death leaves open; `most` is what one call of a consumer may get."""
        slot = role.slot
        unsettled = range(slot.note(DONE) + 1, slot.note(TRIED) + 1)
        self._uncertain.update((slot.number, number) for number in unsettled)
        if slot.state == GETTING:
            self._may_be_missing += most
            slot.state = 0

    def audit(self, producers: list[Slot], *, in_order: bool = True) -> Account:
        """Compares what was put with what arrived, once nobody works any more."""
        size = os.fstat(self._file.fileno()).st_size
        content = os.pread(self._file.fileno(), size, 0)
        account = Account(uncertain=len(self._uncertain))
        times: collections.Counter[tuple[int, int]] = collections.Counter()
        last: dict[tuple[int, int], int] = {}
        for consumer, producer, number in _RECORD.iter_unpack(content):
            times[producer, number] += 1
            if in_order and number <= last.get((consumer, producer), 0):
                account.faults.append(f"{producer}'s item {number} came to {consumer} too late")
            last[consumer, producer] = number
        tried = {
            (slot.number, number) for slot in producers for number in range(1, slot.note(TRIED) + 1)
        }
        account.arrived = times.total()
        account.doubled = sum(count - 1 for count in times.values())
        if invented := times.keys() - tried:
            account.faults.append(f"{len(invented)} items arrived that nobody had put")
        missing = len(tried - self._uncertain - times.keys())
        account.excused = min(missing, self._may_be_missing)
        account.lost = missing - account.excused
        return account

    def close(self) -> None:
        self._file.close()
