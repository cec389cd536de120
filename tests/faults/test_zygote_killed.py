"""SIGKILL of the process that forks the workers."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_tasks import double
from gate import Gate, until
from support.processes import command_of, process_table
from workers import children_of, is_alive, kill, worker_pids, zygote_pid

import millpond
from millpond.pool import AsyncResult, Pool

VALUES = [double(n) for n in range(20)]


@pytest.fixture
def pool(make_pool: Callable[..., Pool]) -> Pool:
    return make_pool(3)


def test_while_the_workers_are_idle(pool: Pool, tmp_path: Path) -> None:
    before = zygote_pid(pool)
    kill(before)
    assert pool.map(double, range(20), chunksize=1) == VALUES
    assert zygote_pid(pool) != before
    assert len(worker_pids(pool, 3, tmp_path)) == 3


def test_while_a_worker_is_busy(pool: Pool, gate: Gate) -> None:
    zygote = zygote_pid(pool)
    running = pool.apply_async(gate.hold)
    gate.wait_for(1)
    queued = [pool.apply_async(double, (n,)) for n in range(20)]
    kill(zygote)
    with pytest.raises(millpond.WorkerCrashed, match="hold"):
        running.get()
    outcomes = [outcome_of(result) for result in queued]
    # Those that were running in the other workers may have gone with them.
    assert all(got in (value, "crashed") for got, value in zip(outcomes, VALUES, strict=True))
    assert outcomes.count("crashed") <= 2
    assert pool.map(double, range(20), chunksize=1) == VALUES


def outcome_of(result: AsyncResult[Any]) -> object:
    try:
        return result.get()
    except millpond.WorkerCrashed:
        return "crashed"


def test_together_with_all_workers(pool: Pool, tmp_path: Path) -> None:
    zygote = zygote_pid(pool)
    workers = worker_pids(pool, 3, tmp_path)
    kill(zygote)
    for worker in workers:
        try:
            kill(worker)
        except ProcessLookupError:
            continue  # it went with the zygote
    assert pool.map(double, range(20), chunksize=1) == VALUES
    assert not workers & worker_pids(pool, 3, tmp_path)


def test_again_and_again(pool: Pool) -> None:
    for _ in range(5):
        kill(zygote_pid(pool))
        assert pool.map(double, range(20), chunksize=1) == VALUES


def forget_the_death_signal() -> None:
    """What `setuid` does in an initializer that gives up privileges."""
    PR_SET_PDEATHSIG = 1
    assert ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0) == 0


def hold_in_a_pool(gate: Gate) -> None:
    with millpond.Pool(1, initializer=forget_the_death_signal) as pool:
        pool.apply(gate.hold)


def test_workers_die_with_it_whatever_their_initializer_did(gate: Gate) -> None:
    owner = millpond.Process(target=hold_in_a_pool, args=(gate,))
    owner.start()
    worker = gate.wait_for(1)[0]
    assert owner.pid is not None
    # The owner would kill the worker by itself.
    os.kill(owner.pid, signal.SIGSTOP)
    kill(process_table()[worker].parent)
    until(lambda: not is_alive(worker))
    kill(owner.pid)
    owner.join()


def test_another_pool_is_not_touched(make_pool: Callable[..., Pool], tmp_path: Path) -> None:
    pool, other = make_pool(2), make_pool(2)
    others = worker_pids(other, 2, tmp_path)
    zygote = zygote_pid(pool)
    if zygote == zygote_pid(other):
        pytest.fail("two pools share a zygote")
    kill(zygote)
    assert pool.map(double, range(20), chunksize=1) == VALUES
    assert worker_pids(other, 2, tmp_path) == others


def test_while_many_workers_start(make_pool: Callable[..., Pool]) -> None:
    before = set(children_of(os.getpid()))
    pool = make_pool(12)
    started = set(children_of(os.getpid())) - before
    [zygote] = [pid for pid in started if "resource_tracker" not in command_of(pid)]
    kill(zygote)
    assert pool.map(double, range(20), chunksize=1) == VALUES
