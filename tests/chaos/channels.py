"""Queues and pipes whose producers and consumers are killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from chaos.ledger import DONE, Account
from chaos.runner import Fault, Role, Slot
from chaos.scenario import Outcome, Scenario

PRODUCERS = CONSUMERS = 2
BATCH = 8
# How far producers get ahead where the channel itself sets no limit.
AHEAD = 100
# Up to what is sent in a block of its own rather than in a slot or a packet.
SIZES = (0, 0, 1, 10, 100, 100, 1_000, 10_000, 100_000, 1_000_000)
# A consumer's note: how many items have arrived.
ARRIVED = 0

Item = tuple[int, int, bytes]


def item(producer: int, number: int) -> Item:
    """An item that shows damage; numbers that lie beside each other differ in size and content."""
    size = SIZES[(number * 7919 + producer) % len(SIZES)]
    return producer, number, bytes([number % 251]) * size


def check_item(got: Any) -> tuple[int, int]:
    """The producer and number of an item that has come through whole."""
    producer, number, _ = got
    if got != item(producer, number):
        raise Fault(f"item {number} of {producer} is damaged")
    return producer, number


class QueueScenario(Scenario):
    """Producers and consumers of a queue with a limit, which is full most of the time."""

    name = "queue"
    most_in_a_get = 1

    def make_queue(self) -> Any:
        return self.make("Queue", 10)

    def set_up(self) -> None:
        self.queue = self.make_queue()
        self.book = self.ledger()
        self.producers = [
            self.runner.start_role("producer", self.produce) for _ in range(PRODUCERS)
        ]
        self.consumers = [
            self.runner.start_role("consumer", self.consume, exit_phase=2) for _ in range(CONSUMERS)
        ]

    def produce(self, slot: Slot) -> None:
        while not slot.phase:
            self.put(slot)

    def consume(self, slot: Slot) -> None:
        while True:
            self.book.get_begins(slot)
            got = self.get(slot)
            if got is None:
                return
            slot.set_note(ARRIVED, slot.note(ARRIVED) + len(got))
            self.book.arrived(slot, [check_item(one) for one in got])

    def put(self, slot: Slot) -> None:
        number = self.book.put_begins(slot)
        self.queue.put(item(slot.number, number))
        self.book.put_returned(slot)

    def get(self, slot: Slot) -> list[Item] | None:
        """What one call got; None at the end."""
        got = self.queue.get()
        return None if got is None else [got]

    def on_kill(self, role: Role) -> None:
        self.book.killed(role, self.most_in_a_get)

    def wind_up(self) -> None:
        self.runner.leave(1)
        self.runner.begin_phase(2)
        self.runner.run_aside(self.put_ends, "putting the last items")
        self.runner.leave(2)

    def put_ends(self) -> None:
        for _ in range(CONSUMERS):
            self.queue.put(None)

    def check(self, outcome: Outcome) -> None:
        outcome.add(self.book.audit(self.producers))

    def wait_for_room(self) -> None:
        """Keeps a producer from running away where the channel would let it."""
        while (
            sum(slot.note(DONE) for slot in self.producers)
            > AHEAD
            + sum(slot.note(ARRIVED) for slot in self.consumers)
            + sum(self.runner.killed.values())
            and not self.producers[0].phase
        ):
            time.sleep(0.0005)


class QueueManyScenario(QueueScenario):
    """The same in batches. A batch's items are committed one by one, in their order."""

    name = "queue, batches"
    most_in_a_get = BATCH

    def make_queue(self) -> Any:
        queue = super().make_queue()
        if not hasattr(queue, "put_many"):
            from chaos.scenario import Absent

            raise Absent("millpond.Queue has no put_many in this build")
        return queue

    def put(self, slot: Slot) -> None:
        count = 1 + random.randrange(BATCH)
        first = self.book.put_begins(slot, count)
        self.queue.put_many([item(slot.number, number) for number in range(first, first + count)])
        self.book.put_returned(slot)

    def get(self, slot: Slot) -> list[Item] | None:
        got = self.queue.get_many(BATCH)
        # The ends may come with each other and with items; each consumer needs one.
        ends = got.count(None)
        items = [one for one in got if one is not None]
        for _ in range(ends - (not items)):
            self.queue.put(None)
        return items or None


class SimpleQueueScenario(QueueScenario):
    """The same with a SimpleQueue."""

    name = "simple queue"

    def make_queue(self) -> Any:
        return self.make("SimpleQueue")

    def put(self, slot: Slot) -> None:
        self.wait_for_room()
        super().put(slot)


class JoinableQueueScenario(QueueScenario):
    """The same with a JoinableQueue; at the end, what was put counts as done."""

    name = "joinable queue"

    def make_queue(self) -> Any:
        return self.make("JoinableQueue", 10)

    def consume(self, slot: Slot) -> None:
        while True:
            self.book.get_begins(slot)
            got = self.get(slot)
            if got is None:
                self.queue.task_done()
                return
            self.book.arrived(slot, [check_item(one) for one in got])
            self.queue.task_done()


class PipeScenario(Scenario):
    """One who sends and one who receives at each end of a pipe; all ends stay open."""

    name = "pipe"

    def set_up(self) -> None:
        self.one, self.other = self.make("Pipe")
        self.books = [self.ledger(), self.ledger()]
        self.senders = []
        for book, source, sink in (
            (self.books[0], self.one, self.other),
            (self.books[1], self.other, self.one),
        ):
            self.senders.append(self.runner.start_role("sender", self.sends(book, source)))
            self.runner.start_role("receiver", self.receives(book, sink), exit_phase=2)

    def sends(self, book: Any, end: Any) -> Callable[[Slot], None]:
        def send(slot: Slot) -> None:
            while not slot.phase:
                number = book.put_begins(slot)
                end.send(item(slot.number, number))
                book.put_returned(slot)

        return send

    def receives(self, book: Any, end: Any) -> Callable[[Slot], None]:
        def receive(slot: Slot) -> None:
            while True:
                book.get_begins(slot)
                got = end.recv()
                if got is None:
                    return
                book.arrived(slot, [check_item(got)])

        return receive

    def on_kill(self, role: Role) -> None:
        # Slots come in pairs, one pair for each direction.
        self.books[role.slot.number // 2].killed(role)

    def wind_up(self) -> None:
        self.runner.leave(1)
        self.runner.begin_phase(2)
        self.runner.run_aside(self.send_ends, "sending the last items")
        self.runner.leave(2)

    def send_ends(self) -> None:
        self.one.send(None)
        self.other.send(None)

    def check(self, outcome: Outcome) -> None:
        for book, sender in zip(self.books, self.senders, strict=True):
            account: Account = book.audit([sender])
            outcome.add(account)
