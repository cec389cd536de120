"""Workers killed at random instants, many of them while they write a large result."""

from __future__ import annotations

import collections
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from faulty_tasks import make_bytes
from workers import workers_of_all_pools

import millpond
from millpond.pool import AsyncResult, Pool

KILLS = 50
WINDOW = 12

# A pool takes it for a fault of its own when its workers die young, one after the other.
MOST_NEWBORNS = 3


class Killer(threading.Thread):
    """Kills random workers at random times."""

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.killed = 0
        self.newborns = 0
        self.seen_at_work: set[int] = set()
        self.stopped = threading.Event()

    def run(self) -> None:
        while self.killed < KILLS and not self.stopped.is_set():
            time.sleep(self.random.uniform(0, 0.03))
            workers = workers_of_all_pools()
            if self.newborns >= MOST_NEWBORNS:
                workers = [pid for pid in workers if pid in self.seen_at_work]
            if workers:
                self.kill(self.random.choice(workers))

    def kill(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed += 1
        self.newborns += pid not in self.seen_at_work

    def see_at_work(self, pid: int) -> None:
        """Note that a worker has done something since it was born."""
        if pid not in self.seen_at_work:
            self.seen_at_work.add(pid)
            self.newborns = 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_task_has_exactly_one_outcome(make_pool: Callable[..., Pool], seed: int) -> None:
    pool = make_pool(3)
    killer = Killer(seed)
    sizes = random.Random(seed)
    called: collections.Counter[int] = collections.Counter()
    outcomes: collections.Counter[str] = collections.Counter()
    waiting: collections.deque[tuple[int, int, AsyncResult[Any]]]
    waiting = collections.deque()

    def settle() -> None:
        index, size, result = waiting.popleft()
        try:
            pid, echo, payload = result.get()
        except millpond.WorkerCrashed:
            outcomes["crashed"] += 1
        else:
            killer.see_at_work(pid)
            outcomes["succeeded"] += 1
            assert echo == index
            assert payload == bytes([index % 251]) * size

    killer.start()
    index = 0
    try:
        while killer.is_alive() or index < 100:
            size = sizes.choice([10, 1_000, 100_000, 2_000_000])

            def note(_: object, index: int = index) -> None:
                called[index] += 1

            result = pool.apply_async(make_bytes, (index, size), {}, note, note)
            waiting.append((index, size, result))
            index += 1
            if len(waiting) >= WINDOW:
                settle()
        while waiting:
            settle()
    finally:
        killer.stopped.set()
        killer.join()
    pool.close()
    pool.join()

    assert killer.killed == KILLS
    assert outcomes.total() == index
    assert outcomes["crashed"] <= KILLS
    assert outcomes["succeeded"] > 0
    assert called == dict.fromkeys(range(index), 1)


def pid_and(number: int) -> tuple[int, int]:
    return os.getpid(), number


def test_imap_unordered_gives_each_result_once(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(3)
    killer = Killer(seed=4)
    killer.start()
    rounds = 0
    try:
        while killer.is_alive():
            rounds += 1
            got: list[int] = []
            crashes = 0
            results = pool.imap_unordered(pid_and, range(300))
            while True:
                try:
                    pid, number = next(results)
                except StopIteration:
                    break
                except millpond.WorkerCrashed:
                    crashes += 1
                else:
                    killer.see_at_work(pid)
                    got.append(number)
            assert len(got) == len(set(got))
            assert len(got) + crashes == 300
    finally:
        killer.stopped.set()
        killer.join()
    assert rounds > 0
    assert pool.map(abs, range(50)) == list(range(50))
