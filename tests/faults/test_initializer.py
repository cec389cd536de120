"""An initializer that cannot do its work breaks the pool, with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_tasks import double, exit_softly, fail_to_start, fail_to_start_again, kill_self
from gate import Gate
from workers import kill

import millpond
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]

CALLS: dict[str, Callable[[Pool], Any]] = {
    "apply": lambda pool: pool.apply(double, (1,)),
    "apply_async": lambda pool: pool.apply_async(double, (1,)).get(),
    "map": lambda pool: pool.map(double, range(10)),
    "map_async": lambda pool: pool.map_async(double, range(10)).get(),
    "imap": lambda pool: list(pool.imap(double, range(10))),
    "imap_unordered": lambda pool: list(pool.imap_unordered(double, range(10))),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_of_a_broken_pool_tell_why(make_pool: PoolMaker, call: str) -> None:
    pool = make_pool(2, initializer=fail_to_start, initargs=("no licence found",))
    for _ in range(2):  # the first may be pending when the pool breaks, the second is not
        with pytest.raises(millpond.BrokenPool, match="no licence found") as caught:
            CALLS[call](pool)
        assert "PermissionError" in str(caught.value)
        assert isinstance(caught.value, millpond.ProcessError)
        assert isinstance(caught.value.__cause__, PermissionError)


def test_every_pending_result_fails(make_pool: PoolMaker) -> None:
    failures: list[BaseException] = []
    pool = make_pool(2, initializer=fail_to_start, initargs=("no licence found",))
    results = []
    for n in range(20):
        try:
            results.append(pool.apply_async(double, (n,), error_callback=failures.append))
        except millpond.BrokenPool:
            break
    for result in results:
        with pytest.raises(millpond.BrokenPool, match="no licence found"):
            result.get()
    pool.close()
    pool.join()
    assert len(failures) == len(results)


def test_a_broken_pool_can_be_closed_and_left(make_pool: PoolMaker) -> None:
    with make_pool(2, initializer=fail_to_start, initargs=("no licence found",)) as pool:
        with pytest.raises(millpond.BrokenPool):
            pool.apply(double, (1,))
        pool.close()
        pool.join()


@pytest.mark.parametrize(
    ("initializer", "initargs", "reason"),
    [(exit_softly, ("not today",), "not today"), (kill_self, (), "SIGKILL"), (os._exit, (3,), "3")],
)
def test_an_initializer_that_ends_its_worker(
    make_pool: PoolMaker,
    initializer: Callable[..., Any],
    initargs: tuple[Any, ...],
    reason: str,
) -> None:
    pool = make_pool(2, initializer=initializer, initargs=initargs)
    with pytest.raises(millpond.BrokenPool, match=reason):
        pool.apply(double, (1,))


def test_a_replacement_that_cannot_start(make_pool: PoolMaker, tmp_path: Path, gate: Gate) -> None:
    pool = make_pool(1, initializer=fail_to_start_again, initargs=(tmp_path / "note",))
    running = pool.apply_async(gate.hold)
    pid = gate.wait_for(1)[0]
    queued = pool.apply_async(double, (1,))
    kill(pid)
    with pytest.raises(millpond.WorkerCrashed):
        running.get()
    with pytest.raises(millpond.BrokenPool, match="only one licence"):
        queued.get()


def test_an_initializer_runs_in_every_replacement(make_pool: PoolMaker, tmp_path: Path) -> None:
    pool = make_pool(1, initializer=os.mkdir, initargs=(tmp_path / "made by the first",))
    assert pool.apply(double, (1,)) == 2
    os.rmdir(tmp_path / "made by the first")
    kill(pool.apply(os.getpid))
    assert pool.apply(double, (2,)) == 4
    assert (tmp_path / "made by the first").is_dir()


def leave_a_mark(directory: Path) -> None:
    (directory / str(os.getpid())).touch()


def test_runs_in_each_worker_of_a_pool_that_is_closed_at_once(
    make_pool: PoolMaker, tmp_path: Path
) -> None:
    pool = make_pool(3, leave_a_mark, (tmp_path,))
    pool.close()
    pool.join()
    assert len(list(tmp_path.iterdir())) == 3
