"""An executor whose workers die, whose initializer fails, or that is used where it must not be."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
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
        with pytest.raises(
            BrokenProcessPool, match=f"worker {victim} killed by SIGKILL.*break_on_crash=True"
        ):
            executor.submit(double, 1)
    executor.shutdown()


def test_the_death_of_an_idle_worker_breaks_it_too(make_executor: Callable[..., Executor]) -> None:
    executor = make_executor(2, break_on_crash=True)
    kill(executor.submit(os.getpid).result())
    until(lambda: executor._executor_manager_thread is None)
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
    with pytest.raises(millpond.RemoteTaskError, match="refuses to load: there"):
        executor.submit(make_unloadable, "there").result()
    with pytest.raises(millpond.RemoteTaskError, match="stuck in the lock"):
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


@pytest.mark.parametrize("end", [Executor.terminate_workers, Executor.kill_workers])
def test_nobody_takes_the_place_of_workers_ended_by_force(
    make_executor: Callable[..., Executor], end: Callable[[Executor], None], tmp_path: Path
) -> None:
    for round_ in range(3):
        gate, started = Gate(tmp_path / f"gate-{round_}"), tmp_path / f"started-{round_}"
        executor = make_executor(4, initializer=note_start, initargs=(started,))
        for key in range(8):
            executor.submit(gate.hold, key)
        gate.wait_for(4)
        end(executor)
        executor.shutdown()
        gate.open()
        assert len(started.read_text().split()) == 4


def note_start(note: Path) -> None:
    with note.open("a") as file:
        file.write(f"{os.getpid()}\n")


class EndsPickling:
    """Ends programs while it is pickled."""

    def __init__(self, how: type[BaseException]) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        raise self.how("while it is pickled")


@pytest.mark.parametrize("how", [SystemExit, KeyboardInterrupt])
def test_what_ends_programs_while_a_call_is_submitted(
    make_executor: Callable[..., Executor], gate: Gate, how: type[BaseException]
) -> None:
    """In the thread that makes the call, however many calls wait; the others are done."""
    executor = make_executor(1)
    held = executor.submit(gate.hold)
    gate.wait_for(1)
    before = [executor.submit(double, n) for n in range(100)]
    with pytest.raises(how):
        executor.submit(identity, EndsPickling(how))
    after = executor.submit(double, 1)
    gate.open()
    assert after.result() == 2
    assert [future.result() for future in [held, *before]][1:] == [2 * n for n in range(100)]


@pytest.mark.parametrize("how", [SystemExit, KeyboardInterrupt, MemoryError])
def test_whatever_ends_the_thread_fails_all_futures(
    make_executor: Callable[..., Executor],
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    how: type[BaseException],
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))

    def fail(*_: object) -> None:
        raise how("in the thread")

    executor = make_executor(1)
    waiting = [executor.submit(gate.hold, key) for key in range(100)]
    gate.wait_for(1)
    first = waiting[0]
    called: list[object] = []
    first.add_done_callback(called.append)
    executor._completions._settle = fail  # type: ignore[union-attr, method-assign]
    gate.open()
    for future in waiting:
        if future is first or future.exception() is not None:
            with pytest.raises(BrokenProcessPool):
                future.result()
    # Callbacks, and then the hook, come after the news.
    until(lambda: called)
    assert called == [first]
    until(lambda: executor._broken)
    with pytest.raises(BrokenProcessPool, match="in the thread"):
        executor.submit(double, 1)
    executor.shutdown()
    until(lambda: seen)
    assert seen == [how]


def test_the_thread_of_a_pool_that_failed_is_replaced(
    context: BaseContext, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def fail(*_: object) -> None:
        raise MemoryError("no memory for a result")

    with context.Pool(1) as pool:
        failed: list[BaseException] = []
        result = pool.apply_async(gate.hold, callback=print, error_callback=failed.append)
        pool._completions._settle = fail  # type: ignore[assignment,method-assign]
        gate.wait_for(1)
        gate.open()
        with pytest.raises(millpond.BrokenPool, match="no memory for a result"):
            result.get()
        assert len(failed) == 1
        until(lambda: pool._completions.thread is None)
        del pool._completions._settle
        done: list[int] = []
        assert pool.apply_async(double, (1,), callback=done.append).get() == 2
        assert done == [2]


def test_shutdown_while_the_first_call_starts_the_workers(
    make_executor: Callable[..., Executor],
) -> None:
    executor = make_executor(1)
    make_pool = executor._make_pool
    other = threading.Thread(target=executor.shutdown)

    def make_while_it_is_shut_down(**options: Any) -> Any:
        other.start()
        time.sleep(0.05)
        return make_pool(**options)

    executor._make_pool = make_while_it_is_shut_down  # type: ignore[assignment]
    future = executor.submit(double, 1)
    other.join()
    assert future.done() and future.result() == 2


def test_a_call_that_comes_when_the_end_has_begun(make_executor: Callable[..., Executor]) -> None:
    executor = make_executor(1)
    assert executor.submit(double, 1).result() == 2
    completions = executor._completions
    assert completions is not None
    # As when the interpreter's end comes at this moment, which waits for no lock.
    completions.close()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after"):
        executor.submit(double, 1)


def test_calls_that_race_the_shutdown_are_done_or_refused(
    make_executor: Callable[..., Executor],
) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        executor = make_executor(2)
        executor.submit(double, 0).result()
        taken: list[futures.Future[int]] = []
        refusals: list[str] = []

        def submit_until_refused() -> None:
            while True:
                try:
                    taken.append(executor.submit(double, 1))
                except RuntimeError as error:
                    refusals.append(str(error))
                    return

        threads = [threading.Thread(target=submit_until_refused) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(taken) > 100)
        executor.shutdown()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all(future.done() and future.result() == 2 for future in taken)
    assert refusals == ["cannot schedule new futures after shutdown"] * 4


FORKS_IN_A_CALLBACK = """
import os, sys, threading, time
from concurrent import futures
import millpond

def hold(path):
    open(path + "/" + str(os.getpid()), "w").close()
    while True:
        time.sleep(0.01)

if __name__ == "__main__":
    directory = sys.argv[2]
    context = millpond.get_context(sys.argv[1])
    executor = millpond.ProcessPoolExecutor(1, context, break_on_crash=True)
    pending = [executor.submit(hold, directory) for _ in range(100)]
    while not os.listdir(directory):
        time.sleep(0.01)
    status = []
    # Callbacks run in the executor's thread and in the one that cancels.
    first = threading.Lock()

    def fork(future):
        if first.acquire(blocking=False):
            pid = os.fork()
            if pid:
                status.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            else:
                # In the child, all of them are over, too, one way or another.
                os._exit(len(futures.wait(pending, timeout=20).not_done))

    for future in pending[80:] if sys.argv[3] == "backlog" else pending[1:]:
        future.add_done_callback(fork)
    if sys.argv[4] == "cancelled":
        executor.shutdown(wait=False, cancel_futures=True)
    executor.kill_workers()
    print(len(futures.wait(pending).done), status)
"""


@pytest.mark.parametrize("which", ["backlog", "all"])
@pytest.mark.parametrize("end", ["cancelled", "killed"])
def test_a_fork_while_futures_are_settled(
    start_method: str, which: str, end: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKS_IN_A_CALLBACK)
    (tmp_path / "out").mkdir()
    options = ["-W", "ignore::DeprecationWarning"]
    command = [
        sys.executable,
        *options,
        str(program),
        start_method,
        str(tmp_path / "out"),
        which,
        end,
    ]
    done = run_program(command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "100 [0]\n", "")


FORKS_WHILE_IT_STARTS = """
import os, sys, threading
from concurrent.futures.process import BrokenProcessPool
import millpond

executor = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
make_pool = executor._make_pool
began, go_on = threading.Event(), threading.Event()

def make_slowly(**options):
    began.set()
    go_on.wait()
    return make_pool(**options)

executor._make_pool = make_slowly
thread = threading.Thread(target=executor.submit, args=(abs, -1))
thread.start()
began.wait()
if os.fork() == 0:
    try:
        executor.submit(abs, -1)
    except BrokenProcessPool:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]))
go_on.set()
thread.join()
print(executor.submit(abs, -2).result())
"""


def test_a_fork_while_the_first_call_starts_the_workers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKS_WHILE_IT_STARTS)
    done = run_program([sys.executable, "-W", "ignore::DeprecationWarning", program])
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n2\n", "")


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
