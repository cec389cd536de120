"""Tasks that fork and return in both processes: a child never goes on as a worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import forking_tasks as tasks
import pytest
from faulty_tasks import double
from gate import Gate

import millpond
from millpond.pool import Pool

ENDS = {
    tasks.do_nothing: 0,
    tasks.exit_with_seven: 7,
    tasks.exit_with_text: 1,
    tasks.fail: 1,
    tasks.interrupt: 1,
    tasks.return_what_does_not_pickle: 0,
    tasks.start_a_thread: 0,
}


def assert_goes_on(pool: Pool) -> None:
    assert pool.map(double, range(20), chunksize=1) == [double(n) for n in range(20)]


@pytest.mark.parametrize("action", ENDS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("end", ["close", "terminate"])
def test_the_child_ends_as_a_process_does(
    make_pool: Callable[..., Pool], action: Callable[[], object], end: str
) -> None:
    pool = make_pool(1)
    assert pool.apply(tasks.exit_code_of_child, (action,)) == ENDS[action]
    assert pool.map(tasks.exit_code_of_child, [action] * 3, chunksize=3) == [ENDS[action]] * 3
    assert_goes_on(pool)
    getattr(pool, end)()
    pool.join()


def test_forks_of_pickling(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1)
    returned: object = pool.apply(tasks.return_what_forks_as_it_is_pickled)
    assert returned == 0
    assert pool.apply(tasks.identity, (tasks.ForksAsItIsUnpickled(),)) == 0
    assert_goes_on(pool)


@pytest.mark.parametrize("count", [2, 100, 1500])
def test_the_child_leaves_the_other_items_of_its_chunk_alone(
    make_pool: Callable[..., Pool], count: int, tmp_path: Path
) -> None:
    pool, notes = make_pool(1), tmp_path / "notes"
    for at in (0, count // 2, count - 1):
        items = [(number, at, str(notes)) for number in range(count)]
        assert pool.map(tasks.fork_at, items, chunksize=count) == list(range(count))
        assert notes.read_text().split() == [str(number) for number in range(count)]
        notes.unlink()


def test_an_initializer_that_forks(make_pool: Callable[..., Pool], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    pool = make_pool(2, tasks.fork_in_initializer, (str(notes),))
    assert_goes_on(pool)
    pool.close()
    pool.join()
    assert notes.read_text().split() == ["0", "0"]


def test_an_exit_function_that_forks(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1)
    pool.apply(tasks.fork_at_the_end)
    pool.close()
    pool.join()


def test_the_worker_dies_and_its_child_lives_on(make_pool: Callable[..., Pool], gate: Gate) -> None:
    pool = make_pool(2)
    with pytest.raises(millpond.WorkerCrashed, match="code 3"):
        pool.apply(tasks.die_and_leave_a_child, (gate,))
    gate.wait_for(1)
    assert_goes_on(pool)
    pool.close()
    pool.join()
    gate.open()
