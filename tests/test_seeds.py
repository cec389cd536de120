"""Pools whose items have random numbers of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def draw(item: int) -> tuple[int, float, float]:
    return item, random.random(), random.gauss(0, 1)


def draw_two(first: int, second: int) -> tuple[int, float]:
    return first + second, random.random()


def draw_numpy(_: int) -> tuple[int, int, int]:
    import numpy as np

    generator = millpond.rng()
    assert generator is millpond.rng()
    legacy = np.random.randint(1 << 30)
    return int(generator.integers(1 << 30)), int(millpond.rng().integers(1 << 30)), legacy


def calls(pool: Any) -> list[Any]:
    """Return what the ways into a pool give, each a call of its own."""
    return [
        pool.apply(draw, (1,)),
        pool.map(draw, range(10)),
        pool.starmap(draw_two, [(n, 1) for n in range(10)]),
        list(pool.imap(draw, range(5), chunksize=2)),
        sorted(pool.imap_unordered(draw, iter(range(5)))),
        pool.apply_async(draw, (1,)).get(),
        pool.options(priority=1).map(draw, range(3)),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_results_for_any_pool(method: str) -> None:
    context = millpond.get_context(method)
    with context.Pool(1, seed=7) as pool:
        first = calls(pool)
    with context.Pool(3, seed=7) as pool:
        assert calls(pool) == first
        other = pool.map(draw, range(10), chunksize=1)
        assert other != first[1], "another call has other numbers"
    with context.Pool(2, seed=8) as pool:
        assert calls(pool) != first
    numbers = [number for call in first[1:4] for number in {drawn[1] for drawn in call}]
    assert len(set(numbers)) == 25


def test_chunks_do_not_matter() -> None:
    results = []
    for chunksize in (1, 3, 5000):
        with millpond.Pool(2, seed=1) as pool:
            results.append(pool.map(draw, range(3000), chunksize=chunksize))
    assert results[0] == results[1] == results[2]
    assert len({drawn[1] for drawn in results[0]}) == 3000


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_has_them_too(method: str) -> None:
    context = millpond.get_context(method)
    results = []
    for workers, chunksize, buffersize in [(1, 1, None), (3, 4, None), (2, 3, 1)]:
        with millpond.ProcessPoolExecutor(workers, context, seed=3) as executor:
            first = executor.submit(draw, 1).result()
            mapped = executor.map(draw, range(20), chunksize=chunksize, buffersize=buffersize)
            last = executor.options(priority=1).submit(draw, item=2)
            results.append([first, *mapped, last.result()])
    assert results[0] == results[1] == results[2]
    # As a pool has them.
    with millpond.Pool(1, seed=3) as pool:
        assert pool.apply(draw, (1,)) == results[0][0]
        assert pool.map(draw, range(20)) == results[0][1:-1]


@pytest.mark.parametrize("method", METHODS)
def test_numpy(method: str) -> None:
    pytest.importorskip("numpy")
    results = []
    for workers in (1, 3):
        with millpond.get_context(method).Pool(workers, import_numpy, seed=2**80) as pool:
            results.append(pool.map(draw_numpy, range(20), chunksize=workers))
    assert results[0] == results[1]
    assert len({number for drawn in results[0] for number in drawn}) == 60


def import_numpy() -> None:
    import numpy.random  # noqa: F401


def test_an_item_that_is_done_again_has_its_numbers() -> None:
    # Its worker dies, and the item is submitted again in the same place of another pool.
    with millpond.Pool(2, seed=5) as pool:
        first = pool.map(draw, range(8), chunksize=1)
    with millpond.Pool(2, seed=5) as pool:
        pool._pool[0].kill()
        pool.resize((1, 4))
        assert pool.map(draw, range(8), chunksize=1) == first


def test_exceptions_and_crashes_name_the_item() -> None:
    with millpond.Pool(1, seed=5) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.map(divide, range(3))
        with pytest.raises(millpond.WorkerCrashed) as crash:
            pool.map(end, range(10, 14), chunksize=2)
        assert crash.value.items == range(3, 4)
        assert "end" in crash.value.function


def divide(number: int) -> float:
    return 1 / number


def end(number: int) -> None:
    if number == 13:
        import os

        os._exit(3)


def test_rng_is_for_items_of_pools_with_a_seed() -> None:
    with pytest.raises(RuntimeError, match="no item of a pool with a seed runs here"):
        millpond.rng()
    with millpond.Pool(1) as pool, pytest.raises(RuntimeError, match="with a seed"):
        pool.apply(millpond.rng)


@pytest.mark.parametrize("method", METHODS)
def test_functions_of_random_itself_have_streams(method: str) -> None:
    context = millpond.get_context(method)
    dice = [(1, 10**9)] * 10
    throw = random.randrange
    results = []
    for workers, chunksize in [(1, 5), (2, 2)]:
        with context.Pool(workers, seed=1) as pool:
            thrown = pool.starmap(random.randint, dice, chunksize)
            drawn = [pool.apply(random.random), pool.apply(random.random)]
            by_value = pool.map(lambda _: throw(10**9), range(4))
            results.append([*thrown, *drawn, *by_value])
    with millpond.ProcessPoolExecutor(1, context, seed=1) as executor:
        ones, billions = [[number for number, _ in dice], [number for _, number in dice]]
        assert list(executor.map(random.randint, ones, billions)) == results[0][:10]
        assert executor.submit(random.random).result() == results[0][10]
    assert results[0] == results[1]
    assert len(set(results[0])) == 16


def test_functions_of_numpy_itself_have_streams() -> None:
    numpy = pytest.importorskip("numpy")
    results = []
    for workers in (1, 2):
        with millpond.Pool(workers, seed=1) as pool:
            results.append(pool.map(numpy.random.randint, [10**9] * 10, chunksize=2 * workers))
    assert results[0] == results[1]
    assert len(set(results[0])) == 10


def test_generators_go_as_copies() -> None:
    own = random.Random(3)
    with millpond.Pool(1, seed=1) as pool:
        assert pool.apply(own.random) == pool.apply(own.random) == own.random()
    # Without a seed, shared ones too, as in the standard library.
    with millpond.Pool(1) as pool:
        state = random.getstate()
        assert pool.apply(random.random) == pool.apply(random.random)
        assert random.getstate() == state


def test_a_long_input_is_read_as_results_are_taken() -> None:
    with millpond.Pool(1, seed=1) as pool:
        results = pool.imap(draw, range(10**12), buffersize=4)
        assert [next(results)[0] for _ in range(20)] == list(range(20))
    with millpond.Pool(2, seed=1) as pool:
        again = pool.imap_unordered(draw, iter(range(20)), chunksize=3)
        drawn = sorted(again)
    with millpond.Pool(1, seed=1) as pool:
        assert pool.map(draw, range(20)) == drawn


@pytest.mark.parametrize("is_map", [False, True])
def test_a_call_that_is_refused_has_no_number(is_map: bool, tmp_path: Path) -> None:
    settings: Any = {"seed": 1, "max_pending": 2, "when_full": "raise"}

    def refuse(apply: Callable[..., object], map: Callable[..., object]) -> None:
        with pytest.raises(millpond.PoolFull):
            map(abs, [1, 2]) if is_map else apply(abs, (1,))

    drawn = []
    for refused in (True, False):
        gate = tmp_path / f"gate-{refused}"
        with millpond.Pool(1, **settings) as pool:
            held = [pool.apply_async(wait_for, (gate,)) for _ in range(3)]
            if refused:
                refuse(pool.apply, pool.map)
            gate.touch()
            for result in held:
                result.get()
            of_pool = pool.map(draw, range(1))
        gate.unlink()
        with millpond.ProcessPoolExecutor(1, **settings) as executor:
            futures = [executor.submit(wait_for, gate) for _ in range(3)]
            if refused:
                refuse(executor.submit, executor.map)
            gate.touch()
            for future in futures:
                future.result()
            drawn.append([*of_pool, executor.options(priority=1).submit(draw, 0).result()])
    assert drawn[0] == drawn[1] == [drawn[0][0]] * 2


def wait_for(gate: Path) -> None:
    while not gate.exists():
        time.sleep(0.001)


def test_a_pool_in_a_task_has_no_part_in_its_stream() -> None:
    pytest.importorskip("numpy")
    with millpond.ProcessPoolExecutor(1, millpond.get_context("fork"), seed=1) as executor:
        assert executor.submit(ask_inside).result() == ["RuntimeError"] * 2


def ask_inside() -> list[str]:
    millpond.rng()
    with millpond.get_context("fork").Pool(1) as pool:
        return pool.map(kind_of_error, [0, 1])


def kind_of_error(_: object) -> str:
    try:
        millpond.rng()
    except RuntimeError as error:
        return type(error).__name__
    return "none"


@pytest.mark.parametrize("seed", [1.5, "1", True])
def test_a_wrong_seed_is_refused_by_name(seed: Any) -> None:
    for make in (millpond.Pool, millpond.ProcessPoolExecutor):
        with pytest.raises(TypeError, match="seed must be an int or None"):
            make(1, seed=seed)
