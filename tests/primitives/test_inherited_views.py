"""What was received in shared memory is a copy of its own in each child that is forked later.

That the values are right is compared with the standard library: `differential/cases/04_*`. Here is
what that cannot show: who dies meanwhile, what it costs, and what is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
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


# A pool's workers inherit it; to send it there would start a thread that stays.
theirs: Connection[Any, Any]


def fork_and_wait(array: Any) -> None:
    """Leave the array to a child, and wait to be killed."""
    if os.fork() == 0:
        tell_when_asked(array, theirs)
        os._exit(0)
    theirs.send(os.getpid())
    signal.pause()


class FromPool:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.pool = context.Pool(1)

    def receive(self, number: int) -> Any:
        return self.pool.apply(filled, (number,))

    def give(self, array: Any) -> Any:
        return self.pool.apply_async(fork_and_wait, (array,))

    def after_a_kill(self, given: Any) -> None:
        with pytest.raises(millpond.WorkerCrashed):
            given.get()
        for number in range(10, 20):
            self.pool.apply(numpy.sum, (filled(number),))

    def close(self) -> None:
        self.pool.close()
        self.pool.join()


class FromQueue:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.context = context
        self.queue = context.Queue()

    def receive(self, number: int) -> Any:
        self.queue.put(filled(number))
        return self.queue.get()

    def give(self, array: Any) -> Any:
        self.queue.put(array)
        process = self.context.Process(target=self._take)
        process.start()
        return process

    def _take(self) -> None:
        fork_and_wait(self.queue.get())

    def after_a_kill(self, given: Any) -> None:
        given.join()
        given.close()
        for number in range(10, 40):
            self.receive(number)

    def close(self) -> None:
        self.queue.close()


class FromPipe:
    def __init__(self, context: millpond.context.ForkContext) -> None:
        self.context = context
        self.reader, self.writer = context.Pipe(duplex=False)

    def receive(self, number: int) -> Any:
        self.writer.send(filled(number))
        return self.reader.recv()

    def give(self, array: Any) -> Any:
        self.writer.send(array)
        process = self.context.Process(target=self._take)
        process.start()
        return process

    def _take(self) -> None:
        fork_and_wait(self.reader.recv())

    def after_a_kill(self, given: Any) -> None:
        given.join()
        given.close()
        for number in range(10, 20):
            self.receive(number)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


kinds = pytest.mark.parametrize("kind", [FromPool, FromQueue, FromPipe])


@kinds
def test_the_child_sees_what_its_parent_had(kind: Any) -> None:
    context = millpond.get_context("fork")
    source = kind(context)
    for number in range(3):
        array = source.receive(number)
        ours, theirs = context.Pipe()
        child = context.Process(target=tell_when_asked, args=(array, theirs))
        child.start()
        del array
        # Were the block read on, one of these would be in it now.
        for other in range(10, 20):
            assert source.receive(other)[0] == other
        ours.send(None)
        assert ours.recv() == (number, number)
        child.join()
        child.close()
        ours.close()
        theirs.close()
    source.close()


@kinds
def test_the_child_of_a_killed_receiver_sees_it_too(kind: Any) -> None:
    global theirs
    context = millpond.get_context("fork")
    ours, theirs = context.Pipe()
    source = kind(context)
    given = source.give(filled(7))
    os.kill(ours.recv(), signal.SIGKILL)
    # The block is its sender's again, and used again.
    source.after_a_kill(given)
    ours.send(None)
    assert ours.recv() == (7, 7)
    source.close()
    ours.close()
    theirs.close()


def forked_child_ends_well() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def sizes() -> tuple[int, int]:
    """How many mappings this process has, and KiB of memory of its own."""
    maps = Path("/proc/self/maps").read_text().count("\n")
    status = Path("/proc/self/status").read_text()
    own = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return maps, int(own.split()[1])


@kinds
def test_nothing_grows_where_every_message_sees_a_fork(kind: Any) -> None:
    source = kind(millpond.get_context("fork"))
    before = (0, 0)
    for number in range(120):
        array = source.receive(number)
        assert forked_child_ends_well()
        assert array[-1] == number
        del array
        if number == 20:
            before = sizes()
    after = sizes()
    source.close()
    # A hundred arrays have 800 KB each.
    assert after[0] < before[0] + 50
    assert after[1] < before[1] + 20_000


@kinds
def test_threads_receive_while_others_fork(kind: Any) -> None:
    sources = [kind(millpond.get_context("fork")) for _ in range(2)]
    is_over = threading.Event()
    wrong: list[Any] = []

    def receive(source: Any) -> None:
        kept: list[tuple[int, Any]] = []
        number = 0
        while not is_over.is_set() or number < 30:
            number += 1
            kept = [*kept[-3:], (number, source.receive(number))]
            wrong.extend(n for n, array in kept if array.min() != n or array.max() != n)
            kept[-1][1][:] = number

    threads = [threading.Thread(target=receive, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for _ in range(30):
        assert forked_child_ends_well()
    is_over.set()
    for thread in threads:
        thread.join()
    for source in sources:
        source.close()
    assert not wrong


def permissions(array: Any) -> str:
    """How the memory of an array is mapped."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode = line.split()[:2]
        start, end = (int(word, 16) for word in span.split("-"))
        if start <= address < end:
            return mode
    raise AssertionError("it is mapped nowhere")


@kinds
def test_only_forks_cost_a_copy(kind: Any) -> None:
    source = kind(millpond.get_context("fork"))
    array = source.receive(1)
    assert permissions(array) == "rw-s"
    # By vfork, which leaves all memory to its parent.
    subprocess.run([sys.executable, "-Sc", ""], check=True)
    assert permissions(array) == "rw-s"
    later = source.receive(2)
    assert forked_child_ends_well()
    assert (permissions(array), permissions(later)) == ("rw-p", "rw-p")
    # What comes next is read in place again.
    assert permissions(source.receive(3)) == "rw-s"
    source.close()
