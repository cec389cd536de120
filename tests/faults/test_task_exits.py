"""Tasks that end their worker, or try to: the task fails and the caller stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from faulty_tasks import be_base_exception, double, exit_hard, exit_softly, interrupt

import millpond
from millpond.pool import Pool


@pytest.fixture
def pool(make_pool: Callable[..., Pool]) -> Pool:
    return make_pool(2)


def assert_goes_on(pool: Pool) -> None:
    assert pool.map(double, range(20), chunksize=1) == [double(n) for n in range(20)]


@pytest.mark.parametrize("code", [0, 3])
def test_os_exit_names_the_exit_code(pool: Pool, code: int) -> None:
    with pytest.raises(millpond.WorkerCrashed) as caught:
        pool.apply(exit_hard, (code,))
    assert "exit_hard" in str(caught.value)
    assert f"code {code}" in str(caught.value)
    assert_goes_on(pool)


def test_os_exit_in_map(pool: Pool) -> None:
    with pytest.raises(millpond.WorkerCrashed, match="code 3"):
        pool.map(exit_hard, [3], chunksize=1)
    assert_goes_on(pool)


@pytest.mark.parametrize("code", [None, 0, 3, "good-bye"])
def test_sys_exit_fails_the_task_and_not_the_caller(pool: Pool, code: object) -> None:
    with pytest.raises(millpond.TaskExited, match="exit") as caught:
        pool.apply(exit_softly, (code,))
    assert isinstance(caught.value, millpond.ProcessError)
    assert code is None or str(code) in str(caught.value)
    assert_goes_on(pool)


def test_keyboard_interrupt_in_a_task_is_no_interrupt_of_the_caller(pool: Pool) -> None:
    with pytest.raises(millpond.TaskExited, match="KeyboardInterrupt"):
        pool.apply_async(interrupt).get()
    assert_goes_on(pool)


def test_other_base_exceptions_fail_the_task(pool: Pool) -> None:
    with pytest.raises(BaseException, match="out of place"):
        pool.apply(be_base_exception)
    assert_goes_on(pool)


@pytest.mark.parametrize(
    ("task", "args"), [(exit_softly, (3,)), (interrupt, ()), (be_base_exception, ())]
)
def test_error_callback_gets_it(
    pool: Pool, task: Callable[..., Any], args: tuple[object, ...]
) -> None:
    failures: list[BaseException] = []
    pool.apply_async(task, args, error_callback=failures.append).wait()
    pool.close()
    pool.join()
    assert len(failures) == 1


def test_the_other_results_of_imap_arrive(pool: Pool) -> None:
    results = pool.imap(exit_softly, ["first", "second"])
    for code in ("first", "second"):
        with pytest.raises(millpond.TaskExited, match=code):
            next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_the_worker_goes_on(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(1)
    pid = pool.apply(os.getpid)
    for task in (exit_softly, interrupt, be_base_exception):
        with pytest.raises(BaseException, match=r"exit|Interrupt|out of place"):
            pool.apply(task, (1,) if task is exit_softly else ())
    assert pool.apply(os.getpid) == pid
