"""An executor whose workers die, whose initializer fails, or that is used where it must not be."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from faulty_tasks import (
    Unloadable,
    double,
    fail_to_start,
    identity,
    kill_self,
    make_unloadable,
    raise_holds_lock,
)
from gate import Gate, until
from support.program import run_program
from workers import kill

import millpond
from millpond.context import BaseContext

Executor = millpond.ProcessPoolExecutor


@pytest.fixture
def make_executor(context: BaseContext) -> Iterator[Callable[..., Executor]]:
    """Make executors that are shut down when the test is over."""
    executors: list[Executor] = []

    def make(workers: int, **options: Any) -> Executor:
        executors.append(Executor(workers, context, **options))
        return executors[-1]

    yield make
    for executor in executors:
        executor.shutdown(cancel_futures=True)


def test_a_death_fails_its_own_future_alone(
    make_executor: Callable[..., Executor], gate: Gate, tmp_path: Path
) -> None:
    executor = make_executor(2)
    neighbour = executor.submit(gate.hold)
    pid = gate.wait_for(1)[0]
    before = [executor.submit(double, n) for n in range(300)]
    doomed = executor.submit(kill_self, tmp_path / "note")
    after = [executor.submit(double, n) for n in range(300)]
    with pytest.raises(BrokenProcessPool) as caught:
        doomed.result()
    error = caught.value
    assert isinstance(error, millpond.WorkerCrashed)
    assert error.pid == int((tmp_path / "note").read_text())
    assert error.signal == signal.SIGKILL
    assert "kill_self" in str(error)
    assert [future.result() for future in before + after] == [2 * n for n in range(300)] * 2
    gate.open()
    assert neighbour.result() == pid


def test_a_death_in_a_chunk_says_which_item(
    make_executor: Callable[..., Executor], gate: Gate
) -> None:
    executor = make_executor(1)
    results = executor.map(gate.hold, [0, 1, 2, 3], chunksize=2)
    kill(gate.wait_for(1)[0])
    with pytest.raises(millpond.WorkerCrashed) as caught:
        next(results)
    assert caught.value.items == range(1)
    gate.open()
    assert executor.submit(double, 2).result() == 4


def test_every_worker_killed_while_busy(make_executor: Callable[..., Executor], gate: Gate) -> None:
    executor = make_executor(3)
    running = [executor.submit(gate.hold, key) for key in range(3)]
    for pid in gate.wait_for(3).values():
        kill(pid)
    assert all(isinstance(f.exception(), millpond.WorkerCrashed) for f in running)
    assert list(executor.map(double, range(10))) == [2 * n for n in range(10)]


def test_an_executor_that_breaks_on_a_crash(
    make_executor: Callable[..., Executor], gate: Gate
) -> None:
    """As in the standard library, by the word of an option."""
    executor = make_executor(2, break_on_crash=True)
    running = [executor.submit(gate.hold, key) for key in range(2)]
    queued = [executor.submit(double, n) for n in range(300)]
    victim = gate.wait_for(2)[0]
    kill(victim)
    for future in [*running, *queued]:
        assert isinstance(future.exception(), BrokenProcessPool)
    assert isinstance(running[0].exception(), millpond.WorkerCrashed)
    assert isinstance(running[1].exception(), millpond.BrokenPool)
    for _ in range(2):
        with pytest.raises(BrokenProcessPool, match=f"worker {victim} killed by SIGKILL"):
            executor.submit(double, 1)
    executor.shutdown()


def test_the_death_of_an_idle_worker_breaks_it_too(make_executor: Callable[..., Executor]) -> None:
    executor = make_executor(2, break_on_crash=True)
    kill(executor.submit(os.getpid).result())
    executor._dispatcher.join()
    with pytest.raises(BrokenProcessPool, match="SIGKILL"):
        executor.submit(double, 1)


def test_workers_that_have_done_their_tasks_break_nothing(
    make_executor: Callable[..., Executor],
) -> None:
    executor = make_executor(2, break_on_crash=True, max_tasks_per_child=1)
    pids = [future.result() for future in [executor.submit(os.getpid) for _ in range(6)]]
    assert len(set(pids)) == 6


def test_an_initializer_that_fails(make_executor: Callable[..., Executor]) -> None:
    executor = make_executor(1, initializer=fail_to_start, initargs=("no licence found",))
    try:
        pending = executor.submit(double, 1)
    except BrokenProcessPool:
        pass
    else:
        with pytest.raises(BrokenProcessPool, match="no licence found"):
            pending.result()
        assert isinstance(pending.exception(), millpond.BrokenPool)
    until(lambda: executor._broken)
    with pytest.raises(BrokenProcessPool, match="no licence found"):
        executor.submit(double, 1)


def test_what_does_not_unpickle(make_executor: Callable[..., Executor]) -> None:
    executor = make_executor(1)
    with pytest.raises(RuntimeError, match="refuses to load: here"):
        executor.submit(identity, Unloadable("here")).result()
    with pytest.raises(millpond.RemoteError, match="refuses to load: there"):
        executor.submit(make_unloadable, "there").result()
    with pytest.raises(millpond.RemoteError, match="stuck in the lock"):
        executor.submit(raise_holds_lock).result()
    assert executor.submit(double, 1).result() == 2


def test_workers_ended_by_force(make_executor: Callable[..., Executor], gate: Gate) -> None:
    for end in (Executor.terminate_workers, Executor.kill_workers):
        executor = make_executor(1)
        running = executor.submit(gate.hold)
        gate.wait_for(1)
        queued = executor.submit(double, 1)
        end(executor)
        assert isinstance(running.exception(), BrokenProcessPool)
        assert queued.cancelled()
        executor.shutdown()
        for entry in gate.directory.glob("0"):
            entry.unlink()


FORKS = """
import os, sys, time
import millpond

def hold(path):
    while not os.path.exists(path):
        time.sleep(0.01)

if __name__ == "__main__":
    unused = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
    executor = millpond.ProcessPoolExecutor(1, millpond.get_context(sys.argv[1]))
    pending = [executor.submit(hold, sys.argv[2]) for _ in range(100)]
    if os.fork() == 0:
        for use in (pending[0].result, pending[99].result, lambda: executor.submit(abs, 1)):
            try:
                use()
            except RuntimeError as error:
                print(type(error).__mro__[1].__name__, str(os.getppid()) in str(error))
        print(pending[50].cancel())
        executor.shutdown()
        print(unused.submit(abs, -1).result(), flush=True)
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    open(sys.argv[2], "w").close()
    print([future.result() for future in pending] == [None] * 100)
"""


def test_use_in_a_forked_child(start_method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKS)
    options = ["-W", "ignore::DeprecationWarning"]
    done = run_program([sys.executable, *options, program, start_method, tmp_path / "gate"])
    refused = "WrongProcess True\n" * 3
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{refused}False\n1\n3\nTrue\n"


def test_the_exceptions_pickle(make_executor: Callable[..., Executor]) -> None:
    import pickle

    future = make_executor(1).submit(kill_self)
    error = pickle.loads(pickle.dumps(future.exception()))
    assert isinstance(error, BrokenProcessPool) and isinstance(error, millpond.WorkerCrashed)
    assert futures.wait([future]).done == {future}
