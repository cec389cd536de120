"""Small messages of pipes, which go through shared memory beside the socket."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_sharer
from typing import Any

import numpy as np
import pytest

import millpond
from millpond.connection import Connection, Pipe, wait
from millpond.context import BaseContext

Ends = tuple[Connection, Connection]


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> BaseContext:
    return millpond.get_context(str(request.param))


@pytest.fixture
def ends() -> Iterator[Ends]:
    left, right = Pipe()
    with left, right:
        yield left, right


def is_readable(connection: Connection) -> bool:
    """Whether the kernel says that there is something to read."""
    return bool(select.select([connection], [], [], 0)[0])


def value(number: int) -> Any:
    """Small ones, and now and then one that the socket carries."""
    return np.full(20_000, number) if number % 50 == 7 else number


def number_of(received: Any) -> int:
    return int(received[0]) if isinstance(received, np.ndarray) else int(received)


def test_thousands_of_small_messages_fit(ends: Ends) -> None:
    left, right = ends
    for number in range(3000):
        left.send(number)
    assert [right.recv() for _ in range(3000)] == list(range(3000))
    assert not is_readable(right)


def test_the_descriptor_is_readable_exactly_while_there_is_a_message(ends: Ends) -> None:
    left, right = ends
    for round_number in range(30):
        assert not is_readable(right)
        assert not right.poll()
        assert wait([right], 0) == []
        numbers = range(round_number, round_number + 1 + round_number % 4)
        for number in numbers:
            left.send(value(number))
        for number in numbers:
            assert is_readable(right)
            assert right.poll()
            assert wait([left, right]) == [right]
            assert number_of(right.recv()) == number


def send_numbers(writer: Connection, other: Connection, count: int) -> None:
    other.close()
    for number in range(count):
        writer.send(value(number))


@pytest.mark.parametrize("how", ["recv", "poll", "wait", "select"])
def test_a_stream_is_received_in_order(how: str, context: BaseContext) -> None:
    count = 2000
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=send_numbers, args=(writer, reader, count))
    child.start()
    writer.close()
    for number in range(count):
        if how == "poll":
            assert reader.poll(None)
        elif how == "wait":
            assert wait([reader, child.sentinel])[0] is reader
        elif how == "select":
            assert select.select([reader], [], [])[0] == [reader]
        assert number_of(reader.recv()) == number
    with pytest.raises(EOFError):
        reader.recv()
    child.join()
    reader.close()


def test_children_that_get_both_ends(context: BaseContext) -> None:
    left, right = context.Pipe()
    child = context.Process(target=answer_oneself, args=(left, right))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert left.recv() == 499
    left.close()
    right.close()


def answer_oneself(left: Connection, right: Connection) -> None:
    assert left._rings() is not None
    for number in range(500):
        left.send(number)
        assert right.recv() == number
    right.send(number)


def answer_all(connections: list[Connection]) -> None:
    for number, connection in enumerate(connections):
        assert connection.recv() == number
        connection.send(-number)


def test_a_child_gets_as_many_connections_as_with_the_standard_library(
    context: BaseContext,
) -> None:
    pipes = [context.Pipe() for _ in range(220)]
    child = context.Process(target=answer_all, args=([its for _, its in pipes],))
    child.start()
    for number, (mine, its) in enumerate(pipes):
        its.close()
        mine.send(number)
        assert mine.recv() == -number
        mine.close()
    child.join()
    assert child.exitcode == 0


def test_a_connection_that_was_sent_has_the_rings() -> None:
    try:
        queue: Any = millpond.SimpleQueue()
        left, right = Pipe()
        queue.put([left, right])
        mine, its = queue.get()
        with left, right, mine, its:
            for number in range(3000):
                mine.send(number)
            assert mine._rings() is not None
            assert [its.recv() for _ in range(1000)] == list(range(1000))
            assert [right.recv() for _ in range(2000)] == list(range(1000, 3000))
            assert not is_readable(right)
    finally:
        resource_sharer.stop()


def test_a_duplicate_of_the_descriptor_receives_what_rings_carry(ends: Ends) -> None:
    left, right = ends
    with Connection(os.dup(right.fileno())) as duplicate:
        for number in range(100):
            left.send(value(number))
        for number in range(100):
            assert duplicate.poll()
            assert number_of(duplicate.recv()) == number
        assert not duplicate.poll()
        duplicate.send("back")
        assert left.recv() == "back"
        left.send("other")
        assert right.recv() == "other"


def test_what_a_duplicate_sends_comes_after_what_is_in_the_rings(ends: Ends) -> None:
    left, right = ends
    with Connection(os.dup(left.fileno())) as duplicate:
        for _ in range(3):
            duplicate.send("through the kernel")
            left.send("by the rings")
            assert [right.recv(), right.recv()] == ["by the rings", "through the kernel"]


def test_one_that_is_closed_is_noticed_at_once(ends: Ends) -> None:
    left, right = ends
    for number in range(10):
        left.send(number)
    right.close()
    with pytest.raises(BrokenPipeError):
        left.send(1)


def receive_one(reader: Connection, other: Connection) -> None:
    other.close()
    reader.recv()


def test_one_that_was_joined_is_noticed_at_once(context: BaseContext) -> None:
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=receive_one, args=(reader, writer))
    child.start()
    reader.close()
    writer.send(1)
    child.join()
    with pytest.raises(BrokenPipeError):
        writer.send(2)
    writer.close()


def test_a_sender_that_waits_for_room_learns_that_the_other_end_is_closed(ends: Ends) -> None:
    left, right = ends
    failures = []

    def fill() -> None:
        try:
            while True:
                left.send(1)
        except BrokenPipeError as error:
            failures.append(error)

    thread = threading.Thread(target=fill)
    thread.start()
    time.sleep(0.1)
    right.close()
    thread.join()
    assert len(failures) == 1


def send_many(end: Connection, count: int) -> None:
    for number in range(count):
        end.send(("thread", number))


def test_threads_fork_while_others_send(ends: Ends) -> None:
    left, right = ends
    fork = millpond.get_context("fork")
    thread = threading.Thread(target=send_many, args=(left, 3000))
    thread.start()
    children = [fork.Process(target=left.send, args=(("child", n),)) for n in range(5)]
    for child in children:
        child.start()
    received = [right.recv() for _ in range(3005)]
    thread.join()
    for child in children:
        child.join()
    assert [n for who, n in received if who == "thread"] == list(range(3000))
    assert sorted(n for who, n in received if who == "child") == list(range(5))
    assert not is_readable(right)
