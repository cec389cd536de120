"""Workers that look idle and are not: what they were given goes to others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
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
    os.kill(away, signal.SIGSTOP)
    assert_others_work(pool, away, tmp_path, is_awaited=is_awaited)
    os.kill(away, signal.SIGCONT)


def are_there(notes: list[Path]) -> bool:
    return all(note.exists() for note in notes)


def assert_others_work(pool: Pool, away: int, tmp_path: Path, *, is_awaited: bool) -> None:
    for round_ in range(2):
        notes = [tmp_path / f"{round_}-{n}" for n in range(TASKS)]
        results = [pool.apply_async(touch, (note,)) for note in notes]
        if not is_awaited:
            # Nothing here asks the pool.
            until(partial(are_there, notes))
        assert away not in {result.get() for result in results}


def test_a_task_may_end_what_an_initializer_waits_for(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(2, hold_first, (gate,))
    gate.wait_for(1)
    pool.apply(gate.open)
    pool.map(abs, range(10))
