"""Calls that come before others."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.001)


def begin_and_wait_for(path: str) -> None:
    Path(f"{path}.begun").touch()
    wait_for(path)


def note(path: str, word: str) -> str:
    with open(path, "ab", buffering=0) as file:
        file.write(word.encode() + b"\n")
    return word


@pytest.mark.parametrize("method", METHODS)
def test_urgent_calls_pass_those_that_are_not_begun(method: str, tmp_path: Path) -> None:
    gate, noted = str(tmp_path / "gate"), str(tmp_path / "noted")
    with millpond.get_context(method).Pool(1) as pool:
        pool.apply_async(wait_for, (gate,))
        low = pool.starmap_async(note, [(noted, "low")] * 20, chunksize=1)
        first = pool.options(priority=1).map_async(abs, [-1] * 5, chunksize=1)
        urgent = pool.options(priority=5)
        results = [urgent.apply_async(note, (noted, f"urgent {n}")) for n in range(3)]
        lowest = pool.options(priority=-1).apply_async(note, (noted, "lowest"))
        middle = pool.options(priority=2).starmap_async(note, [(noted, "middle")] * 3, chunksize=1)
        Path(gate).touch()
        lowest.get()
        assert low.get() == ["low"] * 20
        assert first.get() == [1] * 5
        assert [result.get() for result in results] == ["urgent 0", "urgent 1", "urgent 2"]
        assert middle.get() == ["middle"] * 3
        order = Path(noted).read_text().splitlines()
        expected = ["urgent 0", "urgent 1", "urgent 2", *["middle"] * 3, *["low"] * 20, "lowest"]
        assert order == expected
        levels = pool.stats().levels
        assert sorted(levels) == [-1, 1, 2, 5]
        assert [levels[n].finished for n in (-1, 1, 2, 5)] == [1, 5, 3, 3]
        assert all(0 <= level.mean <= level.longest for level in levels.values())
        assert all((level.waiting, level.oldest) == (0, 0) for level in levels.values())


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_has_them_too(method: str, tmp_path: Path) -> None:
    gate, noted = str(tmp_path / "gate"), str(tmp_path / "noted")
    context = millpond.get_context(method)
    with millpond.ProcessPoolExecutor(1, context) as executor:
        executor.submit(begin_and_wait_for, gate)
        # Until it is begun, calls of a higher priority pass it too.
        wait_for(f"{gate}.begun")
        low = executor.map(note, [noted] * 5, ["low"] * 5)
        high = executor.options(priority=1).map(note, [noted] * 5, ["high"] * 5)
        urgent = executor.options(priority=2).submit(note, noted, "urgent")
        assert executor.stats().levels[1].waiting + executor.stats().levels[2].waiting > 0
        Path(gate).touch()
        assert [*low, *high, urgent.result()] == ["low"] * 5 + ["high"] * 5 + ["urgent"]
    assert Path(noted).read_text().split() == ["urgent"] + ["high"] * 5 + ["low"] * 5


def test_what_has_waited_for_long_comes_first_all_the_same(tmp_path: Path) -> None:
    gate, noted = str(tmp_path / "gate"), str(tmp_path / "noted")
    with millpond.Pool(1, ageing=1e-9) as pool:
        pool.options(priority=1).apply_async(wait_for, (gate,))
        low = pool.apply_async(note, (noted, "low"))
        high = pool.options(priority=1000).apply_async(note, (noted, "high"))
        Path(gate).touch()
        assert [low.get(), high.get()] == ["low", "high"]
        assert Path(noted).read_text().split() == ["low", "high"]


def test_nothing_ages_if_a_level_is_worth_for_ever(tmp_path: Path) -> None:
    gate, noted = str(tmp_path / "gate"), str(tmp_path / "noted")
    with millpond.Pool(1, ageing=math.inf) as pool:
        pool.apply_async(wait_for, (gate,))
        low = pool.apply_async(note, (noted, "low"))
        high = pool.options(priority=1).apply_async(note, (noted, "high"))
        Path(gate).touch()
        assert [low.get(), high.get()] == ["low", "high"]
        assert Path(noted).read_text().split() == ["high", "low"]


def test_priorities_survive_deaths_and_cancelling(tmp_path: Path) -> None:
    gate, noted = str(tmp_path / "gate"), str(tmp_path / "noted")
    with millpond.Pool(1) as pool:
        worker = pool._pool[0]
        doomed = pool.apply_async(begin_and_wait_for, (gate,))
        wait_for(f"{gate}.begun")
        low = [pool.apply_async(note, (noted, "low")) for _ in range(5)]
        high = [pool.options(priority=3).apply_async(note, (noted, "high")) for _ in range(5)]
        assert low[0].cancel() and high[0].cancel()
        worker.kill()
        with pytest.raises(millpond.WorkerCrashed):
            doomed.get()
        assert [result.get() for result in high[1:] + low[1:]] == ["high"] * 4 + ["low"] * 4
        assert Path(noted).read_text().split() == ["high"] * 4 + ["low"] * 4


def test_priorities_while_the_size_changes(tmp_path: Path) -> None:
    with millpond.Pool(2) as pool:
        views = [pool.options(priority=n) for n in range(-2, 3)]
        results = [views[n % 5].apply_async(abs, (-n,)) for n in range(1000)]
        for size in (5, 1, 0, 3):
            pool.resize(size)
        assert [result.get() for result in results] == list(range(1000))
        # Those of priority 0 count only if they came while others waited or ran.
        levels = pool.stats().levels
        assert {n: levels[n].finished for n in (-2, -1, 1, 2)} == dict.fromkeys((-2, -1, 1, 2), 200)


def test_without_priorities_nothing_is_measured() -> None:
    with millpond.Pool(1) as pool:
        pool.map(abs, range(10))
        assert pool.stats().levels == {}


@pytest.mark.parametrize(
    ("ageing", "error"), [(0, ValueError), (math.nan, ValueError), ("1", TypeError)]
)
def test_a_wrong_ageing_is_refused_by_name(ageing: Any, error: type[Exception]) -> None:
    for make in (millpond.Pool, millpond.ProcessPoolExecutor):
        with pytest.raises(error, match="ageing must be"):
            make(1, ageing=ageing)
