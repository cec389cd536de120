"""A pool of which a worker damages the memory, and what must hold nevertheless."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import millpond
from damage.tasks import spoil, square, square_once
from millpond.pool import AsyncResult, Pool

TASKS = 30
LARGE = 100_000
MOST_WORKERS = 3
"""How many workers may be started for one that damaged something."""


def one_pool(place: str, seed: int, report: Path) -> None:
    """Have a worker damage a place, and its pool go on."""
    with tempfile.TemporaryDirectory() as folder, millpond.Pool(2) as pool:
        spoil_and_go_on(pool, place, seed, Path(folder))
        started = pool.stats().started - 2
        assert started <= MOST_WORKERS, f"{started} workers were started"
        pool.close()
        pool.join()
    report.write_text(json.dumps(Counter(right=1, replaced=started)))


def spoil_and_go_on(pool: Pool, place: str, seed: int, folder: Path) -> None:
    pool.map(square, range(8))
    culprit = folder / "culprit"
    spoilt = pool.apply_async(spoil, (place, seed, culprit))
    results = [pool.apply_async(square_once, (n, folder)) for n in range(TASKS)]
    blocks = [pool.apply_async(len, (bytes(LARGE),)) for _ in range(3)]
    if seed % 2:
        # No thread sleeps until the workers have something: others hand tasks out then.
        calls: list[AsyncResult[Any]] = [spoilt, *results, *blocks]
        for call in calls:
            while not call.ready():
                time.sleep(0.001)
    spoilt.wait()
    lost_unbegun = 0
    for n, result in enumerate(results):
        times = ends_well(result, n, culprit, folder / str(n))
        assert times is None or times <= 1, "begun twice"
        lost_unbegun += times == 0
    assert lost_unbegun <= 1
    for block in blocks:
        block.wait()
    # Damage that had no effect so far may have one now, once.
    try:
        squares = pool.map(square, range(20))
    except millpond.WorkerCrashed:
        squares = pool.map(square, range(20))
    assert [square[1:] for square in squares] == [(n, n * n) for n in range(20)]


def ends_well(
    result: AsyncResult[tuple[int, int, int]], n: int, culprit: Path, begun: Path
) -> int | None:
    """How often a task was begun that was lost; `None` for one with a result.

    What a worker returns that damaged its memory may be anything.
    """
    try:
        pid, *values = result.get()
    except millpond.WorkerCrashed:
        return len(begun.read_bytes()) if begun.exists() else 0
    except Exception:
        # It read arguments that it had damaged.
        return None
    assert values == [n, n * n] or pid == int(culprit.read_text())
    return None
