"""Time limits, retries, failures of single items, and cancelling what runs, for every way in."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gate import Gate, until
from limited_tasks import (
    FOREVER,
    HEEDING,
    KILLED,
    WarnedEarly,
    die_or,
    die_until,
    fail_or,
    in_a_call,
    late_until,
    partial_result,
    raise_until,
    spoil_until,
    start_family,
    stopped,
    told,
    unless,
)

import millpond
from millpond.context import BaseContext
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]

ITEMS = range(8)
LATE = 5
LIMIT: Any = {"timeout": 0.1, "grace": 0.1}


def worker_pids(pool: Pool) -> list[int | None]:
    pool._repopulate_pool()
    return [worker.pid for worker in pool._pool]


Way = Callable[[Any, Callable[[int], int]], Any]


def by_apply(pool: Any, task: Callable[[int], int]) -> list[Any]:
    results = [pool.apply_async(task, (item,)) for item in ITEMS]
    return [result.exception() or result.result() for result in results]


def by_starmap(pool: Any, task: Callable[[int], int]) -> Any:
    return pool.options(on_error="return").starmap(task, [(item,) for item in ITEMS], 4)


def by_imap(pool: Any, task: Callable[[int], int]) -> list[Any]:
    return list(pool.options(on_error="return").imap(task, ITEMS, 4))


def by_imap_unordered(pool: Any, task: Callable[[int], int]) -> list[Any]:
    found = list(pool.options(on_error="return").imap_unordered(task, ITEMS, 4))
    (error,) = (value for value in found if isinstance(value, Exception))
    values = sorted(value for value in found if value is not error)
    return [*values[:LATE], error, *values[LATE:]]


def by_map(pool: Any, task: Callable[[int], int]) -> Any:
    return pool.options(on_error="return").map(task, ITEMS, 4)


def by_map_async(pool: Any, task: Callable[[int], int]) -> Any:
    return pool.options(return_exceptions=True).map_async(task, ITEMS, 4).get()


WAYS = [by_apply, by_map, by_map_async, by_starmap, by_imap, by_imap_unordered]


def by_submit(executor: Any, task: Callable[[int], int]) -> list[Any]:
    futures = [executor.submit(task, item) for item in ITEMS]
    return [future.exception() or future.result() for future in futures]


def by_executor_map(executor: Any, task: Callable[[int], int]) -> list[Any]:
    return list(executor.options(on_error="return").map(task, ITEMS, chunksize=4))


def assert_only_late(found: list[Any], item: int | None = LATE) -> millpond.TaskTimeoutError:
    """The item that was late has failed, and no other one."""
    assert [value for value in found if not isinstance(value, BaseException)] == [
        2 * item for item in ITEMS if item != LATE
    ]
    error = found[LATE]
    assert isinstance(error, millpond.TaskTimeoutError)
    assert isinstance(error, TimeoutError) and isinstance(error, millpond.ProcessError)
    assert error.timeout == LIMIT["timeout"] and error.item == item
    assert error.seconds is not None and error.seconds >= error.timeout
    return error


@pytest.mark.parametrize("task", HEEDING + KILLED)
def test_an_item_that_takes_too_long_fails_alone(
    make_pool: PoolMaker, task: Callable[[], None]
) -> None:
    pool = make_pool(2, **LIMIT)
    before = set(worker_pids(pool))
    found = by_map(pool, partial(unless, late=LATE, task=task))
    error = assert_only_late(found)
    assert error.was_killed == (task in KILLED)
    assert (error.pid in worker_pids(pool)) != error.was_killed
    assert error.pid in before
    assert pool.stats().timeouts == error.was_killed
    if task in HEEDING:
        assert task.__name__ in str(error.__cause__), "where it stood"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("task", [in_a_call, stopped])
def test_every_way_into_a_pool_has_limits(
    make_pool: PoolMaker, way: Way, task: Callable[[], None]
) -> None:
    pool = make_pool(2)
    found = way(pool.options(**LIMIT), partial(unless, late=LATE, task=task))
    error = assert_only_late(found, None if way is by_apply else LATE)
    assert "unless" in error.function


@pytest.mark.parametrize("way", [by_submit, by_executor_map])
@pytest.mark.parametrize("task", [in_a_call, stopped])
def test_every_way_into_an_executor_has_limits(
    context: BaseContext, way: Way, task: Callable[[], None]
) -> None:
    with millpond.ProcessPoolExecutor(2, context, **LIMIT) as executor:
        found = way(executor, partial(unless, late=LATE, task=task))
        assert_only_late(found, None if way is by_submit else LATE)


def test_without_grace_there_is_no_warning(make_pool: PoolMaker) -> None:
    pool = make_pool(1, timeout=0.1, grace=0)
    with pytest.raises(millpond.TaskTimeoutError) as raised:
        pool.apply(partial_result)
    assert raised.value.was_killed


def test_a_task_may_return_what_it_has_when_it_is_warned(make_pool: PoolMaker) -> None:
    pool = make_pool(1, timeout=0.1, grace=3600)
    pids = worker_pids(pool)
    assert pool.apply(partial_result) == "what there is by now"
    assert pool.map(partial_result, [1, 2]) == ["what there is by now"] * 2
    assert worker_pids(pool) == pids


def test_the_limit_of_a_break_on_crash_executor_breaks_nothing(context: BaseContext) -> None:
    with millpond.ProcessPoolExecutor(1, context, break_on_crash=True, **LIMIT) as executor:
        assert isinstance(executor.submit(stopped).exception(), millpond.TaskTimeoutError)
        assert executor.submit(abs, -1).result() == 1


def is_gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_what_a_task_has_started_goes_with_its_worker(make_pool: PoolMaker, tmp_path: Path) -> None:
    note = tmp_path / "note"
    pool = make_pool(1)
    result = pool.apply_async(start_family, (note,))
    until(note.exists)
    pids = [int(pid) for pid in note.read_text().split()]
    assert result.cancel(running=True)
    for pid in pids:
        until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


@pytest.mark.parametrize("way", WAYS[1:])
def test_an_item_that_kills_its_worker_fails_alone(make_pool: PoolMaker, way: Way) -> None:
    found = way(make_pool(2), partial(die_or, doomed=LATE))
    error = found[LATE]
    assert isinstance(error, millpond.WorkerCrashed)
    assert error.item == LATE and error.signal == signal.SIGKILL and error.seconds is not None
    assert found[:LATE] + found[LATE + 1 :] == [2 * item for item in ITEMS if item != LATE]


@pytest.mark.parametrize("task", [fail_or, die_or])
def test_failures_are_returned_skipped_or_raised(
    make_pool: PoolMaker, task: Callable[[int, int], int]
) -> None:
    pool = make_pool(2)
    others = {item: 2 * item for item in ITEMS if item != LATE}
    bad = partial(task, **{"failing" if task is fail_or else "doomed": LATE})
    kind = ValueError if task is fail_or else millpond.WorkerCrashed
    for chunk in (1, 4, None):
        found = pool.options(on_error="return").map(bad, ITEMS, chunk)
        assert isinstance(found[LATE], kind) and len(found) == len(ITEMS)
        skipping = pool.options(on_error="skip")
        assert skipping.map(bad, ITEMS, chunk) == list(others.values())
        assert list(skipping.imap(bad, ITEMS, chunk or 2)) == list(others.values())
        with pytest.raises(kind) as raised:
            pool.options(on_error="raise").map(bad, ITEMS, chunk)
        completed = raised.value.completed  # type: ignore[attr-defined]
        # A death ends the call at once.
        assert completed.items() <= others.items()
        if task is fail_or:
            assert completed == others


def test_failures_of_an_executors_items(context: BaseContext) -> None:
    with millpond.ProcessPoolExecutor(2, context) as executor:
        bad = partial(fail_or, failing=1)
        assert list(executor.options(on_error="skip").map(bad, range(3))) == [0, 4]
        found = list(executor.options(on_error="return").map(bad, range(3), chunksize=2))
        assert found[::2] == [0, 4] and isinstance(found[1], ValueError)


def test_a_pool_that_ends_returns_no_exceptions(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(1)
    result = pool.options(on_error="return").map_async(gate.hold, range(3))
    gate.wait_for(1)
    pool.terminate()
    with pytest.raises(millpond.PoolTerminated):
        result.get()


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (die_until, {}),
        (raise_until, {"retry_on": OSError}),
        (late_until, {"retry_on": millpond.TaskTimeoutError, "timeout": 0.1, "grace": 0}),
        (late_until, {"retry_on": millpond.TaskTimeoutError, "timeout": 0.1, "grace": 3600}),
    ],
)
def test_what_fails_is_tried_again(
    make_pool: PoolMaker, tmp_path: Path, task: Any, options: dict[str, Any]
) -> None:
    pool = make_pool(2, retries=1, **options)
    assert pool.apply(task, (tmp_path / "apply", 2)) == 2
    notes = [tmp_path / name for name in "abc"]
    assert pool.map(partial(task, times=2), notes, 2) == [2, 2, 2]
    assert list(pool.options(retry_delay=0.01).imap(partial(task, times=2), [tmp_path / "d"])) == [
        2
    ]
    assert pool.stats().retries == 5


def test_what_is_not_to_be_tried_again_is_not(make_pool: PoolMaker, tmp_path: Path) -> None:
    pool = make_pool(1)
    cases: list[tuple[str, Any, Any, type[Exception]]] = [
        ("a", raise_until, {"retries": 3}, OSError),
        ("b", die_until, {"retries": 3, "retry_on": OSError}, millpond.WorkerCrashed),
        ("c", raise_until, {"retries": 2, "retry_on": OSError}, OSError),
        ("d", late_until, {"retries": 3, "timeout": 0.1, "grace": 0}, millpond.TaskTimeoutError),
    ]
    for name, task, options, error in cases:
        note = tmp_path / name
        with pytest.raises(error):
            pool.options(**options).apply(task, (note, 4))
        assert len(note.read_text().split()) == (3 if name == "c" else 1)


def test_an_item_that_kills_two_workers_is_poison(make_pool: PoolMaker, tmp_path: Path) -> None:
    pool = make_pool(2)
    note = tmp_path / "note"
    found = pool.options(retries=9, on_error="return").map(partial(die_until, times=9), [note])
    (error,) = found
    assert isinstance(error, millpond.PoisonTask) and isinstance(error, millpond.WorkerCrashed)
    pids = [int(pid) for pid in note.read_text().split()]
    assert error.deaths == tuple((pid, -signal.SIGKILL) for pid in pids)
    assert all(str(pid) in str(error) for pid in pids)


def test_large_arguments_are_the_same_at_each_try(make_pool: PoolMaker, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    values = numpy.ones(1 << 20, dtype=numpy.int64)
    pool = make_pool(1, retries=1)
    found = pool.apply(spoil_until, (values, tmp_path / "note", 2))
    assert found == (len(values), 2)


def test_cancelling_what_runs_ends_that_worker_alone(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(2)
    results = [pool.apply_async(gate.hold, (key,)) for key in range(2)]
    pids = gate.wait_for(2)
    assert not results[0].cancel(), "it runs"
    assert results[0].cancel(running=True) and results[0].cancelled()
    with pytest.raises(CancelledError):
        results[0].get()
    until(lambda: is_gone(pids[0]))
    assert pool.apply(abs, (-1,)) == 1
    gate.open()
    assert results[1].get() == pids[1]
    assert not results[1].cancel(running=True), "it is over"


def test_cancelling_a_map_ends_all_its_workers(make_pool: PoolMaker, gate: Gate) -> None:
    pool = make_pool(3)
    other = pool.apply_async(gate.hold, (9,))
    gate.wait_for(1)
    result = pool.map_async(gate.hold, range(5), 1)
    pids = gate.wait_for(3)
    called: list[BaseException] = []
    assert result.cancel(running=True)
    for key in set(pids) - {9}:
        until(lambda key=key: is_gone(pids[key]))  # type: ignore[misc]
    with pytest.raises(CancelledError):
        result.get()
    assert not called
    assert len(gate.arrivals()) == 3
    gate.open()
    assert other.get() == pids[9]


def test_futures_that_run_can_be_cancelled(context: BaseContext, gate: Gate) -> None:
    with millpond.ProcessPoolExecutor(1, context) as executor:
        future = executor.submit(gate.hold)
        told: list[bool] = []
        future.add_done_callback(lambda done: told.append(done.cancelled()))
        gate.wait_for(1)
        assert not future.cancel() and future.cancel(running=True)
        assert executor.submit(abs, -1).result() == 1
        until(lambda: told)
        assert told == [True]


def test_a_coroutine_that_awaits_what_is_cancelled_hears_of_it(
    make_pool: PoolMaker, gate: Gate
) -> None:
    pool = make_pool(1)

    async def main() -> None:
        result = pool.apply_async(gate.hold)
        waiting = asyncio.ensure_future(_await(result))
        await asyncio.to_thread(gate.wait_for, 1)
        result.cancel(running=True)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


async def _await(result: Any) -> Any:
    return await result


def test_cancelling_races_with_the_next_item(make_pool: PoolMaker) -> None:
    """Whatever the moment, a call is cancelled or done, and no other call is lost."""
    pool = make_pool(2)
    for _ in range(200):
        results = [pool.apply_async(os.getpid) for _ in range(6)]
        cancelled = [result.cancel(running=True) for result in results[::2]]
        for was, result in zip(cancelled, results[::2], strict=True):
            assert result.cancelled() == was
            assert was or isinstance(result.get(), int)
        assert all(isinstance(result.get(), int) for result in results[1::2])


@pytest.mark.parametrize("seed", [None, 1])
def test_a_call_is_no_item(make_pool: PoolMaker, seed: int | None) -> None:
    pool = make_pool(1, timeout=0.1, grace=FOREVER, seed=seed)
    with pytest.raises(millpond.TaskTimeoutError) as late:
        pool.apply(in_a_call)
    assert late.value.item is None and not late.value.was_killed
    with pytest.raises(millpond.TaskTimeoutError) as late:
        pool.map(partial(unless, late=1, task=in_a_call), range(2))
    assert late.value.item == 1


def test_a_warning_while_arguments_are_unpickled_is_not_lost(make_pool: PoolMaker) -> None:
    pool = make_pool(1, timeout=0.1, grace=FOREVER)
    with pytest.raises(millpond.TaskTimeoutError) as late:
        pool.apply(told, (WarnedEarly(),))
    assert not late.value.was_killed
    # The next one has not been warned.
    assert pool.apply(abs, (-1,)) == 1


class Engine:
    """A pool's engine, of which some functions are others."""

    def __init__(self, engine: Any, **others: Any) -> None:
        self._engine = engine
        vars(self).update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def test_a_map_that_does_not_begin_keeps_no_room(make_pool: PoolMaker) -> None:
    def refuse(*_: object) -> int:
        raise MemoryError

    pool: Any = make_pool(1, max_pending=2, when_full="raise")
    engine = pool._engine
    pool._engine = Engine(engine, begin=refuse)
    for _ in range(3):
        with pytest.raises(MemoryError):
            pool.map(abs, [1, 2, 3], 1)
    pool._engine = engine
    assert pool.map(abs, [1, 2, 3], 1) == [1, 2, 3]


def test_a_map_of_which_all_is_done_cancels_nothing() -> None:
    def fail(jobs: object) -> int:
        raise AssertionError(jobs)

    with millpond.ProcessPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result() == 1
        pool: Any = executor._completions and executor._completions.pool
        engine = pool._engine
        pool._engine = Engine(engine, cancel=fail)
        assert list(executor.map(abs, [1, 2])) == [1, 2]
        pool._engine = engine
