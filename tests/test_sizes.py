"""Pools and executors that grow, shrink and are resized."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond

METHODS = ["fork", "spawn", "forkserver"]
FOR_EVER = 3600.0


def meet(arguments: tuple[str, int]) -> int:
    """Wait until as many tasks as are wanted have begun."""
    path, count = arguments
    with open(path, "ab", buffering=0) as file:
        file.write(b"x")
    while os.path.getsize(path) < count:
        time.sleep(0.001)
    return os.getpid()


def await_that(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.002)


def count_of(pool: Any) -> int:
    return len(pool._engine.workers())


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_grows_from_nothing_and_shrinks_to_nothing(method: str, tmp_path: Path) -> None:
    context = millpond.get_context(method)
    with context.Pool((0, 5), idle_timeout=0.05) as pool:
        assert repr(pool) == "<millpond.pool.Pool state=RUN pool_size=0 (0 to 5)>"
        assert (pool.stats().workers, pool._pool) == (0, [])
        for run in range(2):
            path = tmp_path / f"{run}"
            pids = pool.map(meet, [(str(path), 5)] * 5, chunksize=1)
            assert len(set(pids)) == 5
            await_that(lambda: count_of(pool) == 0)
        stats = pool.stats()
        assert (stats.workers, stats.wanted, stats.left, stats.started) == (0, 0, 10, 10)
        assert (stats.replacements, stats.crashes, stats.finished) == (0, 0, 10)


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_grows_and_is_resized(method: str, tmp_path: Path) -> None:
    context = millpond.get_context(method)
    with millpond.ProcessPoolExecutor((0, 4), context, idle_timeout=FOR_EVER) as executor:
        assert "max_workers=(0, 4), not started" in repr(executor)
        assert executor.stats().workers == 0
        path = str(tmp_path / "first")
        futures = [executor.submit(meet, (path, 4)) for _ in range(4)]
        assert len({future.result() for future in futures}) == 4
        assert executor.stats().workers == 4
        executor.resize(6)
        path = str(tmp_path / "second")
        assert len(set(executor.map(meet, [(path, 6)] * 6))) == 6
        executor.resize(1)
        assert "max_workers=1, running" in repr(executor)
        assert list(executor.map(abs, range(50))) == list(range(50))
        await_that(lambda: len(executor._processes or ()) == 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.resize(2)


def test_an_executor_may_be_resized_before_its_first_call() -> None:
    with millpond.ProcessPoolExecutor(1) as executor:
        executor.resize((0, 2))
        assert executor.submit(os.getpid).result() != os.getpid()
        assert executor.stats().workers == 1


@pytest.mark.parametrize("method", METHODS)
def test_each_item_is_done_once_while_the_size_changes(method: str, tmp_path: Path) -> None:
    done = threading.Event()

    def resize(pool: Any) -> None:
        # Workers that take long to be set up would leave before they are.
        sizes = [16, 1, 5, 0, 2, (0, 16), (1, 3)] if method == "fork" else [4, 1, 3, (1, 4), 2]
        while not done.is_set():
            for size in sizes:
                pool.resize(size)
                time.sleep(0.005)
        pool.resize(1)

    path = tmp_path / "noted"
    with millpond.get_context(method).Pool(1) as pool:
        thread = threading.Thread(target=resize, args=(pool,))
        thread.start()
        try:
            items = [(str(path), number) for number in range(3000)]
            assert pool.starmap(note, items, chunksize=3) == list(range(3000))
            noted = path.read_bytes().split()
            assert sorted(map(int, noted)) == list(range(3000))
            assert list(pool.imap_unordered(abs, [1] * 500)) == [1] * 500
        finally:
            done.set()
            thread.join()
        await_that(lambda: count_of(pool) == 1)
        assert pool.stats().crashes == 0


def note(path: str, number: int) -> int:
    with open(path, "ab", buffering=0) as file:
        file.write(b"%d\n" % number)
    return number


def test_one_to_64_to_one_under_load() -> None:
    with millpond.Pool(1) as pool:
        result = pool.map_async(abs, range(-30_000, 0), chunksize=1)
        pool.resize(64)
        pool.resize(1)
        assert result.get() == list(range(30_000, 0, -1))
        assert pool.stats().finished == 30_000
        await_that(lambda: count_of(pool) == 1)


@pytest.mark.parametrize("method", METHODS)
def test_tasks_wait_for_a_pool_without_workers(method: str) -> None:
    with millpond.get_context(method).Pool(2) as pool:
        pool.resize(0)
        result = pool.apply_async(abs, (-1,))
        with pytest.raises(millpond.TimeoutError):
            result.get(timeout=0.05)
        pool.resize(1)
        assert result.get() == 1
        # No two of this program's children have the same name.
        pool.resize(0)
        pool.resize(4)
        await_that(lambda: count_of(pool) == 4)
        names = [worker.name for worker in pool._pool]
        assert len(set(names)) == 4


def test_a_closed_pool_without_workers_does_what_is_left() -> None:
    pool = millpond.Pool(1)
    pool.resize(0)
    result = pool.map_async(abs, [-1, -2])
    pool.close()
    pool.resize(0)
    pool.join()
    assert result.get() == [1, 2]
    with pytest.raises(ValueError, match="not running"):
        pool.resize(1)


def test_workers_that_are_being_set_up_leave(tmp_path: Path) -> None:
    path = tmp_path / "go"
    with millpond.Pool(3, wait_for, (str(path),)) as pool:
        # One that has not been forked yet is not, and does not leave.
        pool._engine.wait_started(None)
        pool.resize(1)
        result = pool.apply_async(os.getpid)
        path.touch()
        result.get()
        await_that(lambda: count_of(pool) == 1)
        assert (pool.stats().left, pool.stats().crashes) == (2, 0)


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.001)


def test_a_pool_grows_though_an_initializer_waits_for_what_a_task_does(tmp_path: Path) -> None:
    path = tmp_path / "go"
    path.touch()
    with millpond.Pool((1, 3), wait_for, (str(path),), idle_timeout=FOR_EVER) as pool:
        pool.apply(abs, (1,))
        path.unlink()
        # The second worker waits for the third task, which waits for the second.
        other = str(tmp_path / "met")
        first = pool.apply_async(meet, ((other, 3),))
        second = pool.apply_async(meet, ((other, 3),))
        third = pool.apply_async(meet, ((other, 3),))
        await_that(lambda: count_of(pool) == 3)
        path.touch()
        assert len({task.get() for task in (first, second, third)}) == 3


def test_stopped_and_killed_workers_leave_too() -> None:
    with millpond.Pool(3) as pool:
        pool.map(abs, range(10))
        stopped, killed, _ = pool._pool
        assert stopped.pid is not None and killed.pid is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        os.kill(killed.pid, signal.SIGKILL)
        pool.resize(0)
        await_that(lambda: count_of(pool) == 1)
        pool.resize(1)
        assert pool.map(abs, range(10)) == list(range(10))
        os.kill(stopped.pid, signal.SIGCONT)
        await_that(lambda: count_of(pool) == 1)
        assert pool.stats().workers == 1


def test_short_tasks_do_not_grow_a_pool_to_its_limit() -> None:
    with millpond.Pool(1) as pool:
        # It learns that they are short.
        pool.map(abs, range(1000), chunksize=1)
        pool.resize((1, 64), idle_timeout=FOR_EVER)
        for _ in range(20):
            pool.map(abs, range(500), chunksize=1)
        # One task in some may take long on a busy machine.
        assert pool.stats().workers < 64


@pytest.mark.parametrize(
    ("size", "timeout", "error", "text"),
    [
        ((3, 2), None, ValueError, "not be above the largest"),
        ((-1, 2), None, ValueError, "must not be negative"),
        ((0, 0), None, ValueError, "at least 1"),
        ((1, 2, 3), None, ValueError, "the least and the largest"),
        ((1, 1 << 20), None, ValueError, "at most 16384"),
        ((1, "2"), None, TypeError, "must be an int"),
        ((1, 2), -1, ValueError, "idle_timeout must not be negative"),
        ((1, 2), float("nan"), ValueError, "idle_timeout"),
        ((1, 2), "1", TypeError, "idle_timeout"),
    ],
)
def test_wrong_sizes_are_refused_by_name(
    size: Any, timeout: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        millpond.Pool(size, idle_timeout=timeout)
    with pytest.raises(error, match=text):
        millpond.ProcessPoolExecutor(size, idle_timeout=timeout)
