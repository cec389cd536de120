"""SIGKILL of workers: the task that ran is lost with a clear error, and nothing else."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_tasks import double, double_or_die, kill_self
from gate import Gate
from workers import kill, worker_pids

import millpond
from millpond.pool import Pool

INPUTS = range(20)
DOOMED = 13
OTHERS = [double(n) for n in INPUTS if n != DOOMED]


@pytest.fixture
def pool(make_pool: Callable[..., Pool]) -> Pool:
    return make_pool(3)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Where a doomed task leaves its pid."""
    return tmp_path / "note"


@pytest.fixture
def task(note: Path) -> Callable[[int], int]:
    return functools.partial(double_or_die, doomed=DOOMED, note=note)


def assert_tells_of_kill(error: BaseException, pid: int, function: str) -> None:
    text = str(error)
    assert isinstance(error, millpond.WorkerCrashed)
    assert isinstance(error, millpond.ProcessError)
    assert str(pid) in text
    assert "SIGKILL" in text
    assert function in text


def collect(results: Any) -> tuple[list[int], list[BaseException]]:
    """Everything that an iterator of results has to give, failures included."""
    values: list[int] = []
    failures: list[BaseException] = []
    while True:
        try:
            values.append(next(results))
        except StopIteration:
            return values, failures
        except Exception as error:
            failures.append(error)


def test_apply_async_fails_for_the_killed_task_alone(pool: Pool, note: Path, gate: Gate) -> None:
    neighbour = pool.apply_async(gate.hold)
    gate.wait_for(1)
    before = [pool.apply_async(double, (n,)) for n in INPUTS]
    doomed = pool.apply_async(kill_self, (note,))
    after = [pool.apply_async(double, (n,)) for n in INPUTS]

    with pytest.raises(millpond.WorkerCrashed) as caught:
        doomed.get()

    assert_tells_of_kill(caught.value, int(note.read_text()), "kill_self")
    assert [result.get() for result in before + after] == [double(n) for n in INPUTS] * 2
    assert doomed.ready() and not doomed.successful()
    gate.open()
    assert neighbour.get() == gate.arrivals()[0]


def test_apply_raises(pool: Pool, note: Path) -> None:
    with pytest.raises(millpond.WorkerCrashed) as caught:
        pool.apply(kill_self, (note,))
    assert_tells_of_kill(caught.value, int(note.read_text()), "kill_self")
    assert pool.apply(double, (4,)) == 8


def test_map_raises_and_the_pool_goes_on(
    pool: Pool, note: Path, task: Callable[[int], int]
) -> None:
    other = pool.map_async(double, range(200), chunksize=1)
    with pytest.raises(millpond.WorkerCrashed) as caught:
        pool.map(task, INPUTS, chunksize=1)
    assert_tells_of_kill(caught.value, int(note.read_text()), "double_or_die")
    assert str(DOOMED) in str(caught.value).replace(note.read_text(), "")
    assert other.get() == [double(n) for n in range(200)]
    assert pool.map(double, INPUTS) == [double(n) for n in INPUTS]


def test_map_with_automatic_chunks_raises(
    pool: Pool, note: Path, task: Callable[[int], int]
) -> None:
    with pytest.raises(millpond.WorkerCrashed) as caught:
        pool.map(task, range(500))
    assert_tells_of_kill(caught.value, int(note.read_text()), "double_or_die")
    assert pool.map(double, range(500)) == [double(n) for n in range(500)]


def test_starmap_raises(pool: Pool, note: Path) -> None:
    with pytest.raises(millpond.WorkerCrashed) as caught:
        pool.starmap(double_or_die, [(n, 2, note) for n in range(4)], chunksize=1)
    assert_tells_of_kill(caught.value, int(note.read_text()), "double_or_die")


def test_imap_gives_every_other_result_in_order(
    pool: Pool, note: Path, task: Callable[[int], int]
) -> None:
    values, failures = collect(pool.imap(task, INPUTS))
    assert values == OTHERS
    assert len(failures) == 1
    assert_tells_of_kill(failures[0], int(note.read_text()), "double_or_die")
    assert str(DOOMED) in str(failures[0]).replace(note.read_text(), "")


def test_imap_unordered_gives_every_other_result(
    pool: Pool, note: Path, task: Callable[[int], int]
) -> None:
    values, failures = collect(pool.imap_unordered(task, INPUTS))
    assert sorted(values) == OTHERS
    assert len(failures) == 1
    assert_tells_of_kill(failures[0], int(note.read_text()), "double_or_die")


def test_error_callback_is_called_once(pool: Pool, note: Path) -> None:
    values: list[object] = []
    failures: list[BaseException] = []
    doomed = pool.apply_async(kill_self, (note,), {}, values.append, failures.append)
    fine = pool.apply_async(double, (21,), {}, values.append, failures.append)
    fine.wait()
    doomed.wait()
    pool.close()
    pool.join()
    assert values == [42]
    assert len(failures) == 1
    assert_tells_of_kill(failures[0], int(note.read_text()), "kill_self")


def test_error_callback_of_map_is_called_once(
    pool: Pool, note: Path, task: Callable[[int], int]
) -> None:
    values: list[object] = []
    failures: list[BaseException] = []
    pool.map_async(task, INPUTS, 1, values.append, failures.append).wait()
    pool.close()
    pool.join()
    assert values == []
    assert len(failures) == 1
    assert_tells_of_kill(failures[0], int(note.read_text()), "double_or_die")


def test_a_kill_from_outside_names_its_signal(pool: Pool, gate: Gate) -> None:
    running = pool.apply_async(gate.hold)
    pid = gate.wait_for(1)[0]
    kill(pid)
    with pytest.raises(millpond.WorkerCrashed) as caught:
        running.get()
    assert_tells_of_kill(caught.value, pid, "hold")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_fatal_signal_is_named(pool: Pool, number: signal.Signals) -> None:
    with pytest.raises(millpond.WorkerCrashed, match=number.name):
        pool.apply(signal.raise_signal, (number,))
    assert pool.apply(double, (4,)) == 8


def test_an_idle_worker_is_replaced(pool: Pool, tmp_path: Path) -> None:
    before = worker_pids(pool, 3, tmp_path)
    victim = min(before)
    kill(victim)
    after = worker_pids(pool, 3, tmp_path)
    assert victim not in after
    assert len(before & after) == 2


def test_all_idle_workers_are_replaced(pool: Pool, tmp_path: Path) -> None:
    before = worker_pids(pool, 3, tmp_path)
    for victim in before:
        kill(victim)
    assert pool.map(double, INPUTS, chunksize=1) == [double(n) for n in INPUTS]
    assert not before & worker_pids(pool, 3, tmp_path)


def test_no_task_is_lost_with_an_idle_worker(pool: Pool, tmp_path: Path) -> None:
    for _ in range(10):
        kill(min(worker_pids(pool, 3, tmp_path)))
        # Some of these may have been handed to the dead worker, none was begun by it.
        assert pool.map(double, range(50), chunksize=1) == [double(n) for n in range(50)]


def test_what_was_queued_behind_the_killed_task_runs_elsewhere(
    make_pool: Callable[..., Pool], gate: Gate
) -> None:
    pool = make_pool(1)
    running = pool.apply_async(gate.hold)
    pid = gate.wait_for(1)[0]
    queued = [pool.apply_async(double, (n,)) for n in INPUTS]
    kill(pid)
    with pytest.raises(millpond.WorkerCrashed):
        running.get()
    assert [result.get() for result in queued] == [double(n) for n in INPUTS]


def test_every_worker_killed_while_busy(pool: Pool, gate: Gate) -> None:
    running = [pool.apply_async(gate.hold, (key,)) for key in range(3)]
    for pid in gate.wait_for(3).values():
        kill(pid)
    for result in running:
        with pytest.raises(millpond.WorkerCrashed):
            result.get()
    assert pool.map(double, INPUTS) == [double(n) for n in INPUTS]


def test_all_workers_killed_while_they_start(
    make_pool: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = make_pool(12)
    victims = [worker.pid for worker in pool._pool if worker.pid]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    assert pool.map(double, INPUTS, chunksize=1) == [double(n) for n in INPUTS]
    assert not set(victims) & worker_pids(pool, 12, tmp_path)
