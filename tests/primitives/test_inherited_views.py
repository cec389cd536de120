"""What was received in shared memory stays as it was for children that are forked meanwhile."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import numpy
import pytest

import millpond

WORDS = 100_000


def filled(number: int) -> Any:
    return numpy.full(WORDS, number, dtype="i8")


def tell_when_asked(array: Any, connection: Connection[Any, Any]) -> None:
    connection.recv()
    connection.send((int(array.min()), int(array.max())))


class FromPool:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.pool = context.Pool(1)

    def receive(self, number: int) -> Any:
        return self.pool.apply(filled, (number,))

    def close(self) -> None:
        self.pool.close()
        self.pool.join()


class FromQueue:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.queue = context.Queue()

    def receive(self, number: int) -> Any:
        self.queue.put(filled(number))
        return self.queue.get()

    def close(self) -> None:
        self.queue.close()


class FromPipe:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.reader, self.writer = context.Pipe(duplex=False)

    def receive(self, number: int) -> Any:
        self.writer.send(filled(number))
        return self.reader.recv()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.mark.parametrize("kind", [FromPool, FromQueue, FromPipe])
def test_the_child_sees_what_its_parent_had(kind: Any) -> None:
    context = millpond.get_context("fork")
    source = kind(context)
    for number in range(3):
        array = source.receive(number)
        ours, theirs = context.Pipe()
        child = context.Process(target=tell_when_asked, args=(array, theirs))
        child.start()
        del array
        # Were the memory given back, one of these would be in it now.
        for other in range(10, 20):
            assert source.receive(other)[0] == other
        ours.send(None)
        assert ours.recv() == (number, number)
        child.join()
        child.close()
        ours.close()
        theirs.close()
    source.close()
