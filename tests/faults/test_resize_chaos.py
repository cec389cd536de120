"""Pools are resized at random while workers are killed and stopped and calls are cancelled."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import CancelledError
from typing import Any

import pytest

import millpond

CALLS = 300
STEPS = 200


def work(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


class Trouble:
    """Makes trouble for a pool in a thread of its own, until the end of the `with` statement."""

    def __init__(self, pool: Any, choices: random.Random) -> None:
        self.pool, self.choices = pool, choices
        self.kills = 0
        self._stopped: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Trouble:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        # Not for ever: workers may take longer to be set up than they are left.
        for _ in range(STEPS):
            if self._done.is_set():
                break
            self._step(self.choices.random())
            time.sleep(self.choices.random() * 0.01)
        for pid in self._stopped:
            self._send(pid, signal.SIGCONT)
        self.pool.resize(2)

    def _step(self, what: float) -> None:
        pids = [pid for _, _, pid, _ in self.pool._engine.workers() if pid]
        if what < 0.4 or not pids:
            size: Any = self.choices.choice([0, 1, 2, 8, 20, (0, 6), (1, 3)])
            self.pool.resize(size, self.choices.choice([0.001, 0.05, None]))
        elif what < 0.6:
            self.kills += 1
            self._send(self.choices.choice(pids), signal.SIGKILL)
        elif what < 0.8:
            self._stopped.append(self.choices.choice(pids))
            self._send(self._stopped[-1], signal.SIGSTOP)
        elif self._stopped:
            self._send(self._stopped.pop(), signal.SIGCONT)

    @staticmethod
    def _send(pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_each_call_has_one_outcome(method: str, seed: int) -> None:
    choices = random.Random(seed)
    most = choices.choice([None, 5])
    size: Any = choices.choice([2, (0, 8)])
    pool = millpond.get_context(method).Pool(size, idle_timeout=0.02, max_pending=most)
    views = [pool, *(pool.options(priority=n) for n in (1, 5, -2))]
    crashes = 0
    with Trouble(pool, choices) as trouble:
        results = [
            choices.choice(views).apply_async(work, (n, choices.choice([0, 0, 0.002, 0.01])))
            for n in range(CALLS)
        ]
        for result in results[::17]:
            result.cancel()
        if seed % 2:
            pool.close()
    for number, result in enumerate(results):
        try:
            assert result.get() == number
        except millpond.WorkerCrashed:
            crashes += 1
        except CancelledError:
            assert number % 17 == 0
    assert crashes <= trouble.kills
    pool.close()
    pool.join()
