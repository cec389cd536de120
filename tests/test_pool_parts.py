"""What there is to look at of the parts that the standard library's pool is made of.

What can be compared with the standard library is: `differential/cases/20_progress.py`.
"""

from __future__ import annotations

import multiprocessing.connection
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import wait_until

import millpond
from millpond.context import BaseContext


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> BaseContext:
    return millpond.get_context(str(request.param))


@pytest.fixture
def pool(context: BaseContext, request: pytest.FixtureRequest) -> Iterator[Any]:
    with context.Pool(2) as pool:
        yield pool
    pool.join()
    request.node.funcargs.clear()


def until(holds: Callable[[], object]) -> None:
    while not holds():
        time.sleep(0.005)


def hold_first(path: Path, number: int) -> int:
    """The first waits until there is a file."""
    until(lambda: number != 0 or path.exists())
    return number


def parents() -> tuple[int, int | None]:
    parent = multiprocessing.parent_process()
    return os.getppid(), parent.pid if parent else None


def test_they_cannot_be_changed(pool: Any) -> None:
    with pytest.raises(TypeError):
        pool._cache[0] = "a result"
    assert not {"clear", "pop", "update"} & set(dir(pool._cache))
    assert not {"put", "get"} & set(dir(pool._taskqueue))


def test_there_are_no_results_in_them(pool: Any, tmp_path: Path) -> None:
    result = pool.apply_async(hold_first, (tmp_path / "go on", 0))
    assert not hasattr(pool._cache[result._job], "get")
    (tmp_path / "go on").touch()
    assert result.get() == 0


def test_tasks_that_no_worker_has_room_for(pool: Any, tmp_path: Path) -> None:
    held = [pool.apply_async(hold_first, (tmp_path / "go on", 0)) for _ in range(1000)]
    # Under spawn and forkserver there are no workers at first.
    assert wait_until(lambda: 0 < pool._taskqueue.qsize() < 1000, 30)
    (tmp_path / "go on").touch()
    assert [result.get() for result in held] == [0] * 1000
    assert pool._taskqueue.qsize() == 0


def test_the_index_counts_what_is_done_in_whatever_order(pool: Any, tmp_path: Path) -> None:
    arguments = [(tmp_path / "go on", number) for number in range(5)]
    results = pool.imap(call, arguments)
    until(lambda: results._index == 4)
    (tmp_path / "go on").touch()
    assert list(results) == list(range(5))
    assert results._index == 5


def call(arguments: tuple[Path, int]) -> int:
    return hold_first(*arguments)


def test_workers_are_processes_that_cannot_be_started(context: Any, pool: Any) -> None:
    for worker in pool._pool:
        assert isinstance(worker, context.Process)
        assert type(worker) is not context.Process
        assert (worker.is_alive(), worker.exitcode) == (True, None)
        assert worker.authkey == multiprocessing.current_process().authkey
        assert multiprocessing.connection.wait([worker.sentinel], 0) == []
        with pytest.raises(AssertionError, match="cannot start a process twice"):
            worker.start()


def test_their_parent_is_a_zygote_and_known_as_the_owner(pool: Any) -> None:
    zygote, owner = pool.apply(parents)
    assert owner == os.getpid() != zygote


def test_a_worker_that_has_ended_can_be_closed(pool: Any) -> None:
    """A program that kept it may do so, as with the standard library."""
    worker = pool._pool[0]
    sentinel = worker.sentinel
    pool.close()
    pool.join()
    assert multiprocessing.connection.wait([sentinel], 10) == [sentinel]
    worker.close()
    with pytest.raises(ValueError, match="process object is closed"):
        worker.is_alive()


@pytest.mark.parametrize("call", ["map", "imap", "imap_unordered", "starmap_async"])
@pytest.mark.parametrize("chunksize", ["a", 1.5])
def test_a_chunk_size_that_is_no_number_is_named(pool: Any, call: str, chunksize: object) -> None:
    with pytest.raises(TypeError, match=f"chunksize must be an int, not {chunksize!r}"):
        getattr(pool, call)(abs, [1, 2], chunksize=chunksize)
