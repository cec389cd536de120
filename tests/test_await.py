"""Results of a pool that coroutines wait for."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import millpond
from millpond.pool import Pool


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with millpond.get_context(request.param).Pool(2) as pool:
        yield pool
    request.node.funcargs.clear()


def hold(directory: Path) -> str:
    """Say that the task has begun, and wait until the test lets it end."""
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
        return value + await result

    assert asyncio.run(main()) == 6


def test_two_coroutines_wait_for_one_result(pool: Pool, tmp_path: Path) -> None:
    async def wait_for(result: Any) -> Any:
        return await result

    async def main() -> list[str]:
        result = pool.apply_async(hold, (tmp_path,))
        waiting = asyncio.gather(wait_for(result), wait_for(result))
        await appears(tmp_path / "begun")
        (tmp_path / "open").touch()
        return await waiting

    assert asyncio.run(main()) == [tmp_path.name] * 2


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
