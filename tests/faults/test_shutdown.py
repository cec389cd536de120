"""Pools that end: closed, terminated, left by `with`, with workers of limited life."""

from __future__ import annotations

import atexit
import collections
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_tasks import double, kill_self
from gate import Gate, until
from workers import is_alive, kill

import millpond
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]


def pid_of(_: object) -> int:
    return os.getpid()


def test_close_and_join_finish_what_was_handed_in(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(2)
    running = pool.apply_async(gate.hold)
    queued = [pool.apply_async(double, (n,)) for n in range(50)]
    gate.wait_for(1)
    pool.close()
    gate.open()
    pool.join()
    assert running.ready()
    assert [result.get() for result in queued] == [double(n) for n in range(50)]


def test_join_waits_for_the_replacement_of_a_killed_worker(
    make_pool: PoolMaker, gate: Gate
) -> None:
    pool = make_pool(1)
    running = pool.apply_async(gate.hold)
    pid = gate.wait_for(1)[0]
    queued = pool.apply_async(double, (21,))
    pool.close()
    kill(pid)
    pool.join()
    assert not running.successful()
    assert queued.get() == 42


def test_terminate_ends_running_tasks(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(2)
    running = [pool.apply_async(gate.hold, (key,)) for key in range(2)]
    queued = [pool.apply_async(double, (n,)) for n in range(50)]
    pids = gate.wait_for(2).values()
    pool.terminate()
    pool.join()
    until(lambda: not any(map(is_alive, pids)))
    for result in running + queued:
        with pytest.raises(millpond.PoolTerminated):
            result.get(timeout=30)


def test_leaving_with_terminates(make_pool: PoolMaker, gate: Gate) -> None:
    with make_pool(2) as pool:
        pool.apply_async(gate.hold)
        pid = gate.wait_for(1)[0]
    until(lambda: not is_alive(pid))
    with pytest.raises(ValueError, match="Pool not running"):
        pool.map(double, [1])


def test_terminate_twice_and_after_close(make_pool: PoolMaker) -> None:
    pool = make_pool(2)
    pool.close()
    pool.close()
    pool.terminate()
    pool.terminate()
    pool.join()
    pool.join()


def test_workers_of_one_task_each(make_pool: PoolMaker) -> None:
    pool = make_pool(2, maxtasksperchild=1)
    pids = pool.map(pid_of, range(20), chunksize=1)
    assert len(set(pids)) == 20


def test_workers_of_limited_life(make_pool: PoolMaker) -> None:
    pool = make_pool(2, maxtasksperchild=3)
    pids = pool.map(pid_of, range(40), chunksize=1)
    assert max(collections.Counter(pids).values()) <= 3
    assert pool.map(double, range(40)) == [double(n) for n in range(40)]


def test_a_chunk_counts_as_one_task(make_pool: PoolMaker) -> None:
    pool = make_pool(1, maxtasksperchild=2)
    pids = pool.map(pid_of, range(40), chunksize=10)
    assert sorted(collections.Counter(pids).values()) == [20, 20]


def test_a_worker_killed_in_its_only_task(make_pool: PoolMaker) -> None:
    pool = make_pool(2, maxtasksperchild=1)
    doomed = [pool.apply_async(kill_self) for _ in range(5)]
    fine = [pool.apply_async(double, (n,)) for n in range(5)]
    for result in doomed:
        with pytest.raises(millpond.WorkerCrashed):
            result.get()
    assert [result.get() for result in fine] == [double(n) for n in range(5)]


def test_workers_of_limited_life_are_joined(make_pool: PoolMaker) -> None:
    pool = make_pool(3, maxtasksperchild=1)
    results = [pool.apply_async(double, (n,)) for n in range(30)]
    pool.close()
    pool.join()
    assert [result.get() for result in results] == [double(n) for n in range(30)]


def leave_note_at_exit(note: Path) -> None:
    atexit.register(note.touch)


def test_workers_run_what_tasks_registered_with_atexit(
    make_pool: PoolMaker, tmp_path: Path
) -> None:
    pool = make_pool(1)
    pool.apply(leave_note_at_exit, (tmp_path / "note",))
    pool.close()
    pool.join()
    assert (tmp_path / "note").exists()
