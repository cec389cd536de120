"""Workers that look idle and are not: what they were given goes to others."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from gate import Gate, until

from millpond.pool import Pool

PoolMaker = Callable[..., Pool]
TASKS = 20


class Lingering:
    """Holds up its worker when it goes there."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.owner = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.owner:
            self.gate.hold()


def touch(note: Path) -> int:
    note.touch()
    return os.getpid()


def ignore(_: object) -> int:
    return os.getpid()


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    status = Path(f"/proc/{pid}/stat")
    until(lambda: status.read_text().rpartition(") ")[2].startswith("T"))


def hold_first(gate: Gate) -> None:
    """Set up a worker: the first one waits at the gate."""
    try:
        (gate.directory / "first").mkdir()
    except FileExistsError:
        return
    gate.hold()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_destructor_holds_up_no_tasks(
    make_pool: PoolMaker, gate: Gate, tmp_path: Path, is_awaited: bool
) -> None:
    pool = make_pool(4)
    pool.map(abs, range(200), chunksize=1)
    away = pool.apply(ignore, (Lingering(gate),))
    gate.wait_for(1)
    assert_others_work(pool, away, tmp_path, is_awaited=is_awaited)
    gate.open()


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_stopped_worker_holds_up_no_tasks(
    make_pool: PoolMaker, tmp_path: Path, is_awaited: bool
) -> None:
    pool = make_pool(4)
    pool.map(abs, range(200), chunksize=1)
    away = pool.apply(os.getpid)
    stop(away)
    assert_others_work(pool, away, tmp_path, is_awaited=is_awaited)
    os.kill(away, signal.SIGCONT)


def test_workers_stop_and_go_on(make_pool: PoolMaker) -> None:
    source = random.Random(1)
    pool = make_pool(4)
    stopped: list[int] = []
    for _ in range(40):
        if len(stopped) < 3:
            stopped.append(pool.apply(os.getpid))
            stop(stopped[-1])
        results = [pool.apply_async(os.getpid) for _ in range(source.randrange(6))]
        if source.random() < 0.5:
            assert not {result.get() for result in results} & set(stopped)
        if source.random() < 0.6:
            how = source.choice([signal.SIGCONT, signal.SIGCONT, signal.SIGKILL])
            os.kill(stopped.pop(source.randrange(len(stopped))), how)
        for result in results:
            result.get()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def assert_others_work(pool: Pool, away: int, tmp_path: Path, *, is_awaited: bool) -> None:
    for round_ in range(2):
        notes = [tmp_path / f"{round_}-{n}" for n in range(TASKS)]
        results = [pool.apply_async(touch, (note,)) for note in notes]
        if not is_awaited:
            # Nothing here asks the pool.
            for note in notes:
                until(note.exists)
        assert away not in {result.get() for result in results}


def test_a_task_may_end_what_an_initializer_waits_for(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(2, hold_first, (gate,))
    gate.wait_for(1)
    pool.apply(gate.open)
    pool.map(abs, range(10))


def test_a_task_that_came_before_any_worker_was_ready_goes_to_the_first_that_is(
    make_pool: PoolMaker, gate: Gate
) -> None:
    pool = make_pool(2, hold_first, (gate,))
    result = pool.apply_async(gate.open)
    # Nothing here asks the pool.
    until((gate.directory / "open").exists)
    result.get()
