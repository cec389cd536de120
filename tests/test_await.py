"""Results of a pool that coroutines wait for."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

import millpond
from millpond.pool import AsyncResult, Pool


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with millpond.get_context(request.param).Pool(2) as pool:
        yield pool
    # Its thread is not to be seen by the next test.
    pool.join()
    request.node.funcargs.clear()


def hold(directory: Path) -> str:
    """Say that the task has begun, and wait until the test lets it end."""
    directory.mkdir(exist_ok=True)
    (directory / "begun").touch()
    while not (directory / "open").exists():
        time.sleep(0.002)
    return directory.name


def fail(text: str) -> None:
    raise LookupError(text)


async def appears(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.002)


def test_results_are_awaited(pool: Pool) -> None:
    async def main() -> list[Any]:
        one = await pool.apply_async(abs, (-1,))
        more = await pool.map_async(abs, range(-100, 0))
        pairs = await pool.starmap_async(pow, [(2, 3), (3, 2)])
        return [one, more, pairs]

    assert asyncio.run(main()) == [1, list(range(100, 0, -1)), [8, 9]]


def test_many_at_once_without_a_thread_each(pool: Pool) -> None:
    async def main() -> list[int]:
        results = [pool.apply_async(abs, (-n,)) for n in range(500)]
        waiting = asyncio.gather(*results)
        await asyncio.sleep(0)
        assert sum("callbacks" in thread.name for thread in threading.enumerate()) <= 1
        values: list[int] = await waiting
        return values

    assert asyncio.run(main()) == list(range(500))


def test_failures_are_raised(pool: Pool) -> None:
    async def main() -> None:
        with pytest.raises(LookupError, match="no fish"):
            await pool.apply_async(fail, ("no fish",))
        with pytest.raises(millpond.WorkerCrashed):
            await pool.apply_async(die)
        with pytest.raises(TypeError, match="pickle"):
            await pool.apply_async(abs, (threading.Lock(),))

    asyncio.run(main())


def die() -> None:

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_result_with_callbacks(pool: Pool) -> None:
    called: list[int] = []

    async def main() -> int:
        result = pool.apply_async(abs, (-3,), callback=called.append)
        value: int = await result
        assert called == [3], "the callback comes first"
        again: int = await result
        return value + again

    assert asyncio.run(main()) == 6


def test_results_are_futures(pool: Pool) -> None:
    results = [pool.apply_async(abs, (-n,)) for n in range(100)]
    assert {result.result() for result in futures.as_completed(results)} == set(range(100))
    mapped = pool.map_async(abs, range(-10, 0))
    done, _ = futures.wait([mapped])
    assert done == {mapped} and mapped.get() == list(range(10, 0, -1))
    failed = pool.apply_async(fail, ("no fish",))
    assert isinstance(failed.exception(), LookupError)
    assert failed.ready() and not failed.successful()
    assert repr(AsyncResult[int]) == "millpond.pool.AsyncResult[int]"
    assert repr(failed).startswith("<millpond.pool.AsyncResult at 0x")
    assert repr(failed).endswith(", raised LookupError>")


def test_results_are_cancelled(pool: Pool, tmp_path: Path) -> None:
    running = [pool.apply_async(hold, (path,)) for path in (tmp_path / "a", tmp_path / "b")]
    for path in (tmp_path / "a", tmp_path / "b"):
        while not (path / "begun").exists():
            time.sleep(0.002)
    told: list[BaseException] = []
    waiting = pool.apply_async(abs, (-1,), error_callback=told.append)
    mapped = pool.map_async(abs, range(100))
    another = pool.apply_async(abs, (-2,))
    assert not running[0].cancel()
    for result in (waiting, mapped):
        assert result.cancel() and result.cancelled() and result.ready()
        assert not result.successful()
        with pytest.raises(futures.CancelledError):
            result.get()
    assert [type(error) for error in told] == [futures.CancelledError]
    for path in (tmp_path / "a", tmp_path / "b"):
        (path / "open").touch()
    assert [result.get() for result in running] == ["a", "b"]
    assert another.get() == 2 and not another.cancel()


def test_two_coroutines_wait_for_one_result(pool: Pool, tmp_path: Path) -> None:
    async def wait_for(result: Any) -> Any:
        return await result

    async def main() -> list[str]:
        result = pool.apply_async(hold, (tmp_path,))
        waiting = asyncio.gather(wait_for(result), wait_for(result))
        await appears(tmp_path / "begun")
        (tmp_path / "open").touch()
        return list(await waiting)

    assert asyncio.run(main()) == [tmp_path.name] * 2


def test_a_waiter_that_leaves_costs_no_other_its_turn(pool: Pool, tmp_path: Path) -> None:
    """While the thread goes through the waiters, a coroutine that was told of it leaves."""
    result = pool.apply_async(hold, (tmp_path,))
    called: list[int] = []

    def first(_: object) -> None:
        called.append(1)
        result._discard_callback(first)

    result.add_done_callback(first)
    result.add_done_callback(lambda _: called.append(2))
    done = threading.Event()
    result.add_done_callback(lambda _: done.set())
    (tmp_path / "open").touch()
    done.wait()
    assert called == [1, 2]


def test_a_cancelled_coroutine_leaves_the_pool_usable(pool: Pool, tmp_path: Path) -> None:
    async def wait_for(result: Any) -> Any:
        return await result

    async def main() -> tuple[int, str]:
        result = pool.apply_async(hold, (tmp_path,))
        task = asyncio.ensure_future(wait_for(result))
        await appears(tmp_path / "begun")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other = await pool.apply_async(abs, (-1,))
        (tmp_path / "open").touch()
        return other, await result

    assert asyncio.run(main()) == (1, tmp_path.name)


def test_a_loop_that_closes_before_the_result_comes(pool: Pool, tmp_path: Path) -> None:
    async def main() -> Any:
        result = pool.apply_async(hold, (tmp_path,))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.ensure_future(await_it(result)), 0.05)
        return result

    async def await_it(result: Any) -> Any:
        return await result

    result = asyncio.run(main())
    (tmp_path / "open").touch()
    assert result.get() == tmp_path.name


def test_termination_ends_the_wait(pool: Pool, tmp_path: Path) -> None:
    async def main() -> None:
        result = pool.apply_async(hold, (tmp_path,))
        await appears(tmp_path / "begun")
        pool.terminate()
        with pytest.raises(millpond.PoolTerminated):
            await result

    asyncio.run(main())
