"""`ProcessPoolExecutor`: the interface of `concurrent.futures`, under each start method."""

from __future__ import annotations

import asyncio
import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.processes import wait_until
from support.program import run_program

import millpond

METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture(scope="module", params=METHODS)
def shared(request: pytest.FixtureRequest) -> Iterator[millpond.ProcessPoolExecutor]:
    """An executor of two workers that tests of ordinary calls share."""
    context = millpond.get_context(request.param)
    with millpond.ProcessPoolExecutor(2, mp_context=context) as executor:
        # Both are there before the leak check of the first test looks.
        both = context.Barrier(2)
        assert sorted(executor.map(meet, [both, both])) == [0, 1]
        yield executor


def meet(barrier: Any) -> int:
    place: int = barrier.wait()
    return place


def add(a: int, b: int = 0) -> int:
    return a + b


def fail(text: str) -> NoReturn:
    raise LookupError(text)


def leave(code: int) -> NoReturn:
    sys.exit(code)


_state = "nothing"


def set_state(value: str) -> None:
    global _state
    _state = value


def get_state() -> str:
    return _state


def name_of_worker_and_of_its_child() -> tuple[str, int | None]:
    # Not by a fork server, which would stay as long as the worker does.
    child = multiprocessing.get_context("fork").Process(target=get_state)
    child.start()
    child.join()
    return multiprocessing.current_process().name, child.exitcode


def hold(directory: str, key: int) -> int:
    """Say that the call has begun, and wait until the test lets it end."""
    Path(directory, str(key)).touch()
    while not Path(directory, "open").exists():
        time.sleep(0.002)
    return key


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.002)


def test_submit(shared: millpond.ProcessPoolExecutor) -> None:
    future = shared.submit(add, 1, b=2)
    assert isinstance(future, futures.Future)
    assert future.result() == 3
    assert future.done() and future.exception() is None
    assert shared.submit(lambda x: x + 1, 1).result() == 2


def test_exceptions(shared: millpond.ProcessPoolExecutor) -> None:
    future = shared.submit(fail, "no fish")
    with pytest.raises(LookupError, match="no fish") as caught:
        future.result()
    assert "in fail" in str(caught.value.__cause__)
    assert future.exception() is caught.value


def test_what_ends_programs_is_raised_in_whoever_asks(shared: millpond.ProcessPoolExecutor) -> None:
    with pytest.raises(SystemExit) as caught:
        shared.submit(leave, 3).result()
    assert caught.value.code == 3
    assert shared.submit(add, 1).result() == 1


def test_not_callable(shared: millpond.ProcessPoolExecutor) -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match="not callable"):
        shared.submit(nothing).result()


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("buffersize", [None, 1, 5])
def test_map(shared: millpond.ProcessPoolExecutor, chunksize: int, buffersize: int | None) -> None:
    expected = list(map(pow, range(20), range(20)))
    results = shared.map(pow, range(20), range(20), chunksize=chunksize, buffersize=buffersize)
    assert list(results) == expected


def test_map_of_an_endless_input(shared: millpond.ProcessPoolExecutor) -> None:
    read = []

    def count() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    results = shared.map(abs, count(), buffersize=4)
    assert list(itertools.islice(results, 10)) == list(range(10))
    assert len(read) <= 10 + 4


def test_map_raises_in_place(shared: millpond.ProcessPoolExecutor) -> None:
    results = shared.map(int, ["1", "2", "x", "4"])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)


def test_map_with_a_timeout(shared: millpond.ProcessPoolExecutor, tmp_path: Path) -> None:
    results = shared.map(hold, itertools.repeat(str(tmp_path)), [0], timeout=0.01)
    with pytest.raises(TimeoutError):
        next(results)
    (tmp_path / "open").touch()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"chunksize": 0}, ValueError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": 1.5}, TypeError),
    ],
)
def test_map_with_bad_arguments(
    shared: millpond.ProcessPoolExecutor, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        shared.map(abs, [1], **arguments)


def test_arguments_are_those_of_the_moment_of_the_call(
    shared: millpond.ProcessPoolExecutor,
) -> None:
    changing: list[int] = []
    futures = []
    for number in range(300):
        changing.append(number)
        futures.append(shared.submit(len, changing))
    assert [future.result() for future in futures] == list(range(1, 301))


def test_wait_and_as_completed(shared: millpond.ProcessPoolExecutor) -> None:
    pending = [shared.submit(add, n) for n in range(200)]
    assert {future.result() for future in futures.as_completed(pending)} == set(range(200))
    done, not_done = futures.wait(pending)
    assert (len(done), len(not_done)) == (200, 0)


def test_callbacks_may_submit(shared: millpond.ProcessPoolExecutor) -> None:
    second: futures.Future[int] = futures.Future()

    def go_on(first: futures.Future[int]) -> None:
        shared.submit(add, first.result(), 10).add_done_callback(
            lambda future: second.set_result(future.result())
        )

    shared.submit(add, 1).add_done_callback(go_on)
    assert second.result() == 11


def test_a_callback_that_raises_costs_nobody_else_anything(
    shared: millpond.ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    called = threading.Event()

    def leave_in_callback(_: object) -> None:
        called.set()
        sys.exit(1)

    shared.submit(hold, str(tmp_path), 0).add_done_callback(leave_in_callback)
    (tmp_path / "open").touch()
    called.wait()
    assert shared.submit(add, 2).result() == 2
    told = threading.Event()
    shared.submit(add, 3).add_done_callback(lambda _: told.set())
    told.wait()
    assert seen == [SystemExit]


def test_asyncio(shared: millpond.ProcessPoolExecutor) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        one = await loop.run_in_executor(shared, add, 1)
        two = await shared.submit(add, 2)
        three = await asyncio.wrap_future(shared.submit(add, 3))
        more = await asyncio.gather(*(shared.submit(add, n) for n in range(4, 50)))
        with pytest.raises(LookupError):
            await shared.submit(fail, "no fish")
        return [one, two, three, *more]

    assert asyncio.run(main()) == list(range(1, 50))


def test_what_does_not_pickle(shared: millpond.ProcessPoolExecutor) -> None:
    lock = threading.Lock()
    with pytest.raises((TypeError, pickle.PicklingError), match="pickle"):
        shared.submit(add, lock).result()  # type: ignore[arg-type]
    with pytest.raises((TypeError, pickle.PicklingError), match="pickle"):
        shared.submit(threading.Lock).result()
    assert shared.submit(add, 1).result() == 1


def test_workers_are_as_those_of_the_stdlib(shared: millpond.ProcessPoolExecutor) -> None:
    """They are no daemons, so they may have children, and their names are plain."""
    name, exitcode = shared.submit(name_of_worker_and_of_its_child).result()
    assert name.partition("-")[0] in ("ForkProcess", "SpawnProcess", "ForkServerProcess")
    assert exitcode == 0
    workers = shared._processes
    assert workers is not None
    assert len(workers) == 2 and all(w.is_alive() and not w.daemon for w in workers.values())


@pytest.mark.parametrize("method", METHODS)
def test_initializer_and_tasks_per_child(method: str) -> None:
    with millpond.ProcessPoolExecutor(
        1,
        millpond.get_context(method),
        set_state,
        ("ready",),
        max_tasks_per_child=2,
    ) as executor:
        assert executor.submit(get_state).result() == "ready"
        pids = [executor.submit(os.getpid).result() for _ in range(6)]
        assert executor.submit(get_state).result() == "ready"
    assert len(set(pids)) == 4  # the first worker had one call before these


@pytest.mark.parametrize("method", METHODS)
def test_all_workers_start_with_the_first_call(method: str) -> None:
    with millpond.ProcessPoolExecutor(2, millpond.get_context(method)) as executor:
        assert not executor._processes
        assert executor.submit(add, 1).result() == 1
        assert executor._processes is not None
        assert len(executor._processes) == 2


@pytest.fixture
def executor() -> Iterator[millpond.ProcessPoolExecutor]:
    with millpond.ProcessPoolExecutor(1, millpond.get_context("fork")) as executor:
        yield executor


def test_cancellation(executor: millpond.ProcessPoolExecutor, tmp_path: Path) -> None:
    """Whatever no worker has begun can be cancelled: in the backlog, and with the pool."""
    running = executor.submit(hold, str(tmp_path), 0)
    wait_for(tmp_path / "0")
    waiting = [executor.submit(hold, str(tmp_path), key) for key in range(1, 201)]
    assert waiting[0].running() and not waiting[-1].running()
    assert not running.cancel()
    called: list[object] = []
    waiting[0].add_done_callback(called.append)
    assert all(waiting[key].cancel() for key in (0, 50, 150, 199))
    assert waiting[0].cancelled() and waiting[0].cancel() and called == [waiting[0]]
    done, _ = futures.wait([waiting[0]])
    assert done == {waiting[0]}
    with pytest.raises(futures.CancelledError):
        waiting[199].result()
    (tmp_path / "open").touch()
    left = [future.result() for future in waiting if not future.cancelled()]
    assert left == [key for key in range(1, 201) if key not in (1, 51, 151, 200)]
    assert not (tmp_path / "1").exists() and not (tmp_path / "200").exists()


def test_a_cancelled_coroutine_leaves_the_executor_usable(
    executor: millpond.ProcessPoolExecutor, tmp_path: Path
) -> None:
    async def main() -> int:
        task = asyncio.ensure_future(executor.submit(hold, str(tmp_path), 0))
        while not (tmp_path / "0").exists():
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (tmp_path / "open").touch()
        return await executor.submit(add, 1)

    assert asyncio.run(main()) == 1


def test_reprs_tell_the_state(tmp_path: Path) -> None:
    executor = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
    assert repr(executor).startswith("<millpond.futures.ProcessPoolExecutor at 0x")
    assert repr(executor).endswith(", max_workers=1, not started>")
    held = executor.submit(hold, str(tmp_path), 0)
    wait_for(tmp_path / "0")
    assert repr(executor).endswith(", running>")
    assert repr(held).startswith("<millpond.futures.Future at 0x")
    assert repr(held).endswith(", running>")
    waiting = [executor.submit(add, 1) for _ in range(100)]
    assert repr(waiting[-1]).endswith(", pending>")
    waiting[0].cancel()
    assert repr(waiting[0]).endswith(", cancelled>")
    (tmp_path / "open").touch()
    assert held.result() == 0
    assert repr(held).endswith(", returned int>")
    failed = executor.submit(fail, "no fish")
    assert failed.exception() is not None
    assert repr(failed).endswith(", raised LookupError>")
    executor.shutdown()
    assert repr(executor).endswith(", shut down>")


def test_it_is_public_and_its_futures_are_generic() -> None:
    assert millpond.ProcessPoolExecutor.__module__ == "millpond.futures"
    assert millpond.futures.ProcessPoolExecutor is millpond.ProcessPoolExecutor
    assert repr(millpond.futures.Future[int]) == "millpond.futures.Future[int]"


def test_futures_that_nobody_asks_start_nothing_and_are_done_after_the_shutdown() -> None:
    with millpond.ProcessPoolExecutor(1, millpond.get_context("fork")) as executor:
        pending = [executor.submit(add, n) for n in range(100)]
        threads = set(threading.enumerate())
        assert pending[0].result() == 0
        assert set(threading.enumerate()) <= threads
    assert all(future.done() for future in pending)
    assert [future.result() for future in pending] == list(range(100))
    assert pending[1].exception() is None and not pending[1].running()


def test_shutdown_without_waiting(executor: millpond.ProcessPoolExecutor, tmp_path: Path) -> None:
    running = executor.submit(hold, str(tmp_path), 0)
    queued = [executor.submit(add, n) for n in range(100)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(add, 1)
    assert executor._processes is None
    (tmp_path / "open").touch()
    assert running.result() == 0
    assert [future.result() for future in queued] == list(range(100))


def test_shutdown_that_cancels(executor: millpond.ProcessPoolExecutor, tmp_path: Path) -> None:
    running = executor.submit(hold, str(tmp_path), 0)
    wait_for(tmp_path / "0")
    queued = [executor.submit(hold, str(tmp_path), key) for key in range(1, 100)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued)
    (tmp_path / "open").touch()
    assert running.result() == 0
    executor.shutdown()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "open"]


def test_shutdown_in_a_callback(executor: millpond.ProcessPoolExecutor) -> None:
    executor.submit(add, 1).add_done_callback(lambda _: executor.shutdown())
    while executor._executor_manager_thread is not None:
        time.sleep(0.002)
    with pytest.raises(RuntimeError):
        executor.submit(add, 1)


def test_an_executor_that_nothing_was_asked_of() -> None:
    executor = millpond.ProcessPoolExecutor(1)
    executor.shutdown()
    executor.shutdown(cancel_futures=True)
    with pytest.raises(RuntimeError):
        executor.submit(add, 1)


def test_a_collected_executor_finishes_its_work(tmp_path: Path) -> None:
    executor = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
    held = executor.submit(hold, str(tmp_path), 0)
    queued = [executor.submit(add, n) for n in range(200)]
    completions = executor._completions
    assert completions is not None
    del executor
    (tmp_path / "open").touch()
    assert held.result() == 0
    assert [future.result() for future in queued] == list(range(200))
    completions.join()


def test_an_idle_executor_that_is_collected_ends() -> None:
    executor = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
    assert executor.submit(add, 1).result() == 1
    completions = executor._completions
    assert completions is not None
    del executor
    completions.join()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_workers": 0}, ValueError, "greater than 0"),
        ({"max_workers": -1}, ValueError, "greater than 0"),
        ({"max_workers": 1 << 30}, ValueError, "at most"),
        ({"max_workers": 1.5}, TypeError, "int"),
        ({"initializer": 3}, TypeError, "callable"),
        ({"max_tasks_per_child": 0}, ValueError, ">= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "integer"),
        ({"mp_context": "spawn"}, TypeError, r"millpond.get_context\('spawn'\)"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        millpond.ProcessPoolExecutor(**arguments)


def test_start_method() -> None:
    default = millpond.ProcessPoolExecutor(1)
    assert default._mp_context.get_start_method() == millpond.get_start_method()
    limited = millpond.ProcessPoolExecutor(1, max_tasks_per_child=1)
    assert limited._mp_context.get_start_method() == "spawn"
    context = multiprocessing.get_context("forkserver")
    assert millpond.ProcessPoolExecutor(1, context)._mp_context is context


PROGRAM = """
import os, sys, time
from pathlib import Path
import millpond

def work(path):
    time.sleep(0.02)
    Path(path).touch()

def in_a_child(directory):
    executor = millpond.ProcessPoolExecutor(1, millpond.get_context("fork"))
    for n in range(5):
        executor.submit(work, f"{directory}/child{n}")

if __name__ == "__main__":
    directory = sys.argv[1]
    context = millpond.get_context(sys.argv[2])
    executor = millpond.ProcessPoolExecutor(2, context)
    for n in range(5):
        executor.submit(work, f"{directory}/{n}")
    if sys.argv[3] == "deleted":
        del executor
    elif sys.argv[3] == "child":
        process = context.Process(target=in_a_child, args=(directory,))
        process.start()
        process.join()
        print(process.exitcode)
    elif sys.argv[3] == "late":
        import threading
        def submit_late():
            while not hasattr(threading, "_millpond_never"):
                try:
                    executor.submit(abs, 1).result()
                except RuntimeError as error:
                    print(error)
                    break
        threading.Thread(target=submit_late).start()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["open", "deleted", "child", "late"])
def test_the_interpreter_waits_for_what_is_pending(method: str, how: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "out").mkdir()
    done = run_program([sys.executable, program, tmp_path / "out", method, how])
    said = {"child": "0\n", "late": done.stdout}.get(how, "")
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    if how == "late":
        assert done.stdout.startswith("cannot schedule new futures after ")
    expected = [str(n) for n in range(5)]
    expected += [f"child{n}" for n in range(5)] if how == "child" else []
    assert sorted(os.listdir(tmp_path / "out")) == expected


def test_importing_millpond_does_not_import_the_executor() -> None:
    code = (
        "import sys, millpond; print('concurrent.futures' in sys.modules);"
        "millpond.ProcessPoolExecutor; print('millpond.futures' in sys.modules)"
    )
    assert run_program([sys.executable, "-c", code]).stdout == "False\nTrue\n"


def test_install_leaves_the_stdlib_s_executor() -> None:
    code = (
        "import millpond; millpond.install(); from concurrent.futures import ProcessPoolExecutor;"
        "print(ProcessPoolExecutor.__module__, ProcessPoolExecutor is millpond.ProcessPoolExecutor)"
    )
    done = run_program([sys.executable, "-c", code])
    assert done.stdout == "concurrent.futures.process False\n"


class FalseError(Exception):
    def __bool__(self) -> bool:
        return False


def raise_false() -> None:
    raise FalseError


def test_an_exception_that_is_false(shared: millpond.ProcessPoolExecutor) -> None:
    assert isinstance(shared.submit(raise_false).exception(), FalseError)
    with pytest.raises(FalseError):
        shared.submit(raise_false).result()


class Alarming:
    """Whoever unpickles it gets a signal meanwhile."""

    def __reduce__(self) -> tuple[Any, ...]:
        return raise_alarm, ()


def raise_alarm() -> str:
    signal.raise_signal(signal.SIGALRM)
    return "slow"


def make_alarming() -> Any:
    return Alarming()


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], object]], None]]:
    """What the signal's handler is to do."""

    def handle_with(action: Callable[[], object]) -> None:
        signal.signal(signal.SIGALRM, lambda *_: action())

    before = signal.getsignal(signal.SIGALRM)
    yield handle_with
    signal.signal(signal.SIGALRM, before)


def test_a_handler_may_cancel_what_is_being_taken(
    alarm: Callable[[Callable[[], object]], None],
) -> None:
    answers: list[bool] = []
    with millpond.ProcessPoolExecutor(1) as executor:
        future = executor.submit(make_alarming)
        assert wait_until(future._is_reached, 30)
        alarm(lambda: answers.append(future.cancel()))
        assert future.result() == "slow"
    assert answers == [False]


def test_ctrl_c_while_a_result_is_unpickled(
    alarm: Callable[[Callable[[], object]], None],
) -> None:
    def interrupt() -> None:
        # It is unpickled anew, and is to succeed then.
        alarm(lambda: None)
        raise KeyboardInterrupt

    with millpond.ProcessPoolExecutor(1) as executor:
        future = executor.submit(make_alarming)
        assert wait_until(future._is_reached, 30)
        alarm(interrupt)
        with pytest.raises(KeyboardInterrupt):
            future.result()
        assert future.result() == "slow"
        assert executor.submit(abs, -1).result() == 1


def test_a_failed_map_keeps_nothing() -> None:
    class Big:
        pass

    def fail(executor: millpond.ProcessPoolExecutor) -> weakref.ref[Big]:
        big = Big()
        with pytest.raises(ZeroDivisionError):
            list(executor.map(divmod, [1, 2], [0, 1]))
        return weakref.ref(big)

    gc.disable()
    try:
        with millpond.ProcessPoolExecutor(1) as executor:
            assert fail(executor)() is None
    finally:
        gc.enable()


def test_a_hook_for_exceptions_of_threads_that_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hook(args: Any) -> None:
        raise args.exc_value

    monkeypatch.setattr(threading, "excepthook", hook)
    called: list[object] = []
    with millpond.Pool(1) as pool:
        first = pool.apply_async(
            abs, (-1,), callback=lambda value: 1 // (value - 1), error_callback=called.append
        )
        assert first.get() == 1
        second = pool.apply_async(abs, (-2,), callback=called.append)
        assert second.get() == 2
        assert wait_until(lambda: called == [2], 30)
    assert "ZeroDivisionError" in capsys.readouterr().err
