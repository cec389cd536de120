"""Pools and executors in which only so many calls may wait."""

from __future__ import annotations

import queue
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def wait_for(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.001)
    return path


def submitted(pool: Any) -> int:
    count: int = pool.stats().tasks
    return count


def await_blocked(pool: Any, count: int) -> None:
    """Wait until so many calls are there; a thread that waits for room adds no more."""
    while submitted(pool) < count:
        time.sleep(0.001)
    time.sleep(0.02)
    assert submitted(pool) == count


@pytest.mark.parametrize("method", METHODS)
def test_calls_block_until_there_is_room(method: str, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with millpond.get_context(method).Pool(2, max_pending=3) as pool:
        results: list[Any] = []

        def submit() -> None:
            results.extend(pool.apply_async(wait_for, (gate,)) for _ in range(20))

        thread = threading.Thread(target=submit)
        thread.start()
        # One for each worker, and three.
        await_blocked(pool, 5)
        Path(gate).touch()
        thread.join()
        assert [result.get() for result in results] == [gate] * 20


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_blocks_or_raises(method: str, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    context = millpond.get_context(method)
    with millpond.ProcessPoolExecutor(1, context, max_pending=2, when_full="raise") as executor:
        futures = [executor.submit(wait_for, gate) for _ in range(3)]
        with pytest.raises(millpond.PoolFull, match=r"too many calls wait \(max_pending=2\)"):
            executor.submit(abs, 1)
        with pytest.raises(queue.Full):
            executor.map(abs, range(10))
        Path(gate).touch()
        assert [future.result() for future in futures] == [gate] * 3
        assert executor.submit(abs, -1).result() == 1
    with millpond.ProcessPoolExecutor(2, context, max_pending=1) as executor:
        assert list(executor.map(abs, range(-200, 0))) == list(range(200, 0, -1))


def test_a_map_is_submitted_as_there_is_room(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with millpond.Pool(2, max_pending=4) as pool:
        results: list[Any] = []

        def submit() -> None:
            results.append(pool.map_async(wait_for, [gate] * 100, chunksize=2))

        thread = threading.Thread(target=submit)
        thread.start()
        await_blocked(pool, 6)
        Path(gate).touch()
        thread.join()
        assert results[0].get() == [gate] * 100
        assert pool.map(abs, range(1000), chunksize=1) == list(range(1000))
        assert pool.starmap(pow, [(2, n) for n in range(50)]) == [2**n for n in range(50)]
        # It has a bound of its own.
        assert list(pool.imap(abs, range(1000))) == list(range(1000))


def test_a_map_is_refused_as_a_whole(tmp_path: Path) -> None:
    with millpond.Pool(2, max_pending=4, when_full="raise") as pool:
        assert pool.map(abs, range(600), chunksize=100) == list(range(600))
        with pytest.raises(millpond.PoolFull, match=r"no room for 7 tasks \(max_pending=4\)"):
            pool.map_async(abs, range(601), chunksize=100)
        assert submitted(pool) == 6
        assert pool.map(abs, range(6), chunksize=1) == list(range(6))


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_who_waits_for_room_is_woken_by_the_end(end: str, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    pool = millpond.Pool(1, max_pending=1)
    results = [pool.apply_async(wait_for, (gate,)) for _ in range(2)]
    errors: list[BaseException] = []

    def submit(call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except BaseException as error:
            errors.append(error)

    calls = [(pool.apply_async, abs, (1,)), (pool.map_async, abs, [1, 2])]
    threads = [threading.Thread(target=submit, args=call) for call in calls]
    for thread in threads:
        thread.start()
    await_blocked(pool, 2)
    getattr(pool, end)()
    for thread in threads:
        thread.join()
    assert [str(error) for error in errors] == ["Pool not running"] * 2
    Path(gate).touch()
    pool.join()
    if end == "close":
        assert [result.get() for result in results] == [gate] * 2


def test_who_waits_for_room_is_woken_by_the_end_of_an_executor(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    executor = millpond.ProcessPoolExecutor(1, max_pending=1)
    futures = [executor.submit(wait_for, gate) for _ in range(2)]
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            executor.submit(abs, 1)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    await_blocked(executor, 2)
    executor.shutdown(wait=False)
    thread.join()
    assert "after shutdown" in str(errors[0])
    Path(gate).touch()
    assert [future.result() for future in futures] == [gate] * 2
    executor.shutdown()


def test_ctrl_c_interrupts_who_waits_for_room(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with millpond.Pool(1, max_pending=1) as pool:
        results = [pool.apply_async(wait_for, (gate,)) for _ in range(2)]
        timer = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            pool.apply_async(abs, (1,))
        timer.join()
        Path(gate).touch()
        assert [result.get() for result in results] == [gate] * 2
        # Nothing is reserved any more.
        assert pool.map(abs, range(100), chunksize=1) == list(range(100))


def test_a_callback_is_not_held_up(tmp_path: Path) -> None:
    # The task ends when the callback has run, which submits while the pool is full.
    gate = tmp_path / "gate"
    with millpond.Pool(2, max_pending=1) as pool:
        done: list[Any] = []

        def callback(_: int) -> None:
            done.extend(pool.apply_async(abs, (-n,)) for n in range(5))
            done.append(pool.map_async(abs, range(9), chunksize=1))
            gate.touch()

        waiting = pool.apply_async(wait_for, (str(gate),))
        pool.apply_async(abs, (1,), callback=callback)
        assert waiting.get() == str(gate)
        assert [result.get() for result in done] == [0, 1, 2, 3, 4, list(range(9))]


def test_many_threads_share_the_room() -> None:
    with millpond.Pool(2, max_pending=2) as pool:
        totals: list[int] = []

        def submit() -> None:
            results = [pool.apply_async(abs, (-1,)) for _ in range(200)]
            totals.append(sum(result.get() for result in results))

        threads = [threading.Thread(target=submit) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert totals == [200] * 6


def test_a_pool_that_grows_has_room_for_what_it_may_become(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with millpond.Pool((0, 4), max_pending=1, when_full="raise") as pool:
        results = [pool.apply_async(wait_for, (gate,)) for _ in range(5)]
        with pytest.raises(millpond.PoolFull):
            pool.apply_async(abs, (1,))
        Path(gate).touch()
        assert [result.get() for result in results] == [gate] * 5


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_pending": 0}, ValueError, "max_pending must be at least 1"),
        ({"max_pending": 1.5}, TypeError, "max_pending must be an int"),
        ({"max_pending": True}, TypeError, "max_pending must be an int"),
        ({"when_full": "drop"}, ValueError, "when_full must be 'block' or 'raise'"),
    ],
)
def test_wrong_values_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    for make in (millpond.Pool, millpond.ProcessPoolExecutor):
        with pytest.raises(error, match=text):
            make(1, **options)
