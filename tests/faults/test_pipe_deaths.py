"""SIGKILL of whoever is at a pipe, at any moment: nothing torn, the end seen, nothing left."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.descriptors import targets
from support.program import run_program

import millpond
from millpond.connection import Connection, Pipe, wait
from millpond.context import BaseContext, ForkContext

LARGE = 300_000
PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def fork() -> ForkContext:
    return millpond.get_context("fork")


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    left, right = Pipe()
    yield left, right
    left.close()
    right.close()


def message(number: int) -> Any:
    """Small or large, with its number all over it."""
    return number, np.full(LARGE if number % 3 else 10, number)


def number_of(received: Any) -> int:
    number, array = received
    assert (array == number).all(), "torn"
    return int(number)


def send_for_ever(writer: Connection, other: Connection) -> None:
    other.close()
    number = 0
    while True:
        writer.send(message(number))
        number += 1


def receive_for_ever(reader: Connection, other: Connection) -> None:
    other.close()
    while True:
        number_of(reader.recv())


def consume(iterator: Iterator[object]) -> None:
    for _ in iterator:
        pass


def kill(child: Any) -> None:
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.close()


@pytest.mark.parametrize("round_number", range(10))
def test_a_sender_is_killed(round_number: int, fork: ForkContext) -> None:
    """What it had sent is received whole and in order, then the end."""
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=send_for_ever, args=(writer, reader))
    child.start()
    writer.close()
    received = [number_of(reader.recv())]
    time.sleep(random.Random(round_number).random() * 0.02)
    child.kill()
    while True:
        try:
            received.append(number_of(reader.recv()))
        except EOFError:
            break
    assert received == list(range(len(received)))
    kill(child)
    reader.close()


def test_what_a_stopped_sender_has_not_sent_whole_is_not_announced(fork: ForkContext) -> None:
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=send_for_ever, args=(writer, reader))
    child.start()
    assert child.pid is not None
    expected = 0
    for _ in range(20):
        number_of_next = number_of(reader.recv())
        assert number_of_next == expected
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        expected += 1
        while reader.poll():
            assert number_of(reader.recv()) == expected
            expected += 1
        assert wait([reader], 0) == []
        os.kill(child.pid, signal.SIGCONT)
    kill(child)
    reader.close()
    writer.close()


@pytest.mark.parametrize("round_number", range(10))
def test_a_receiver_is_killed(round_number: int, fork: ForkContext) -> None:
    """The sender learns of it, even if it waits for room."""
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=receive_for_ever, args=(reader, writer))
    child.start()
    reader.close()
    after = time.monotonic() + random.Random(round_number).random() * 0.02

    def send_and_kill() -> None:
        for number in range(1_000_000):
            writer.send(message(number))
            if time.monotonic() > after:
                child.kill()

    with pytest.raises(BrokenPipeError):
        send_and_kill()
    kill(child)
    writer.close()


def test_a_receiver_that_is_stopped_and_killed_wakes_a_waiting_sender(fork: ForkContext) -> None:
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=receive_for_ever, args=(reader, writer))
    child.start()
    reader.close()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    killer = fork.Process(target=kill_soon, args=(child.pid, writer))
    killer.start()
    with pytest.raises(BrokenPipeError):
        send_many(writer)
    killer.join()
    kill(child)
    writer.close()


def send_many(writer: Connection) -> None:
    for number in range(1_000_000):
        writer.send(message(number))


def kill_soon(pid: int, writer: Connection) -> None:
    writer.close()
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)


def forward(reader: Connection, writer: Connection, others: list[Connection]) -> None:
    for other in others:
        other.close()
    while True:
        try:
            received = reader.recv()
        except EOFError:
            return
        writer.send(number_of(received))


@pytest.mark.timeout(120)
def test_receivers_that_share_an_end_are_killed_one_after_the_other(fork: ForkContext) -> None:
    """Each death costs one message at most; every other is received once, by somebody."""
    reader, writer = fork.Pipe(duplex=False)
    results, answer = fork.Pipe(duplex=False)
    seen: list[int] = []
    choice = random.Random(7)

    def start() -> Any:
        child = fork.Process(target=forward, args=(reader, answer, [writer, results]))
        child.start()
        return child

    children = [start() for _ in range(3)]
    total, kills = 600, 0
    for number in range(total):
        writer.send(message(number))
        while results.poll():
            seen.append(results.recv())
        if number % 40 == 20:
            kill(children.pop(choice.randrange(3)))
            kills += 1
            children.append(start())
    writer.close()
    reader.close()
    answer.close()
    while True:
        try:
            seen.append(results.recv())
        except EOFError:
            break
    results.close()
    for child in children:
        child.join()
    assert len(seen) == len(set(seen))
    # A receiver may be killed after it took a message and before it said so.
    assert total - kills <= len(seen) <= total


def blocks() -> list[str]:
    """The memory of messages that this process has mapped or open."""
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in [*mapped, *targets().values()] if "millpond-message" in name]


def test_memory_goes_with_the_connection(fork: ForkContext) -> None:
    gc.collect()
    before = len(blocks())
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=send_for_ever, args=(writer, reader))
    child.start()
    writer.close()
    kept = [reader.recv() for _ in range(60)]
    assert len(blocks()) > before
    child.kill()
    with pytest.raises(EOFError):
        consume(reader.recv() for _ in range(1_000_000))
    assert [number_of(one) for one in kept] == list(range(60))
    del kept
    assert len(blocks()) == before
    kill(child)
    reader.close()


def test_a_sender_keeps_a_bounded_number_of_blocks(ends: tuple[Connection, Connection]) -> None:
    left, right = ends
    before = len(blocks())
    kept = []
    for number in range(200):
        left.send(message(3 * number + 1))
        kept.append(right.recv())
        if number % 5 == 0:
            kept.clear()
    kept.clear()
    # Each is mapped by the sender, mapped by the receiver and open in the sender.
    assert len(blocks()) - before <= 3 * 33
    left.close()
    right.close()
    assert len(blocks()) == before


def nothing(_: Connection) -> None:
    pass


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_wait_sees_a_death_at_once(method: str) -> None:
    context: BaseContext = millpond.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=nothing, args=(writer,))
    child.start()
    writer.close()
    assert wait([reader]) == [reader]
    with pytest.raises(EOFError):
        reader.recv()
    child.join()
    reader.close()


DAMAGED = [b"x", b"\0" * 8, b"\xa1\0", b"\xa1\0\1\0\1\0\0\0", b"\xa2" + b"\0" * 15, os.urandom(100)]


@pytest.mark.parametrize("packet", DAMAGED, ids=range(len(DAMAGED)))
def test_what_no_pipe_sends_is_an_error(packet: bytes, ends: tuple[Connection, Connection]) -> None:
    left, right = ends
    os.write(left.fileno(), packet)
    with pytest.raises(OSError, match=r"not sent by a millpond pipe|was lost"):
        right.recv()
    left.send("fine")
    assert right.recv() == "fine"


@pytest.mark.parametrize("kind", [0, 1, 2, 0x80, 0xFF])
@pytest.mark.parametrize("parts", [0, 1, 2, 2**32 - 1])
def test_messages_that_make_no_sense_raise(
    kind: int, parts: int, ends: tuple[Connection, Connection]
) -> None:
    left, right = ends
    header = bytes([0xA1, kind, 0, 0]) + parts.to_bytes(4, "little")
    os.write(left.fileno(), header + b"\xff" * 40)
    with pytest.raises(Exception):  # noqa: B017, PT011
        right.recv()
    left.send("fine")
    assert right.recv() == "fine"


def test_want_of_memory_and_of_descriptors() -> None:
    done = run_program([sys.executable, str(PROGRAMS / "pipe_want.py")])
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "[{}]",
        "receiver: OSError 24",
        "sender: OSError 24",
        "small",
        "True",
        "memory: MemoryError",
        "small",
    ]
