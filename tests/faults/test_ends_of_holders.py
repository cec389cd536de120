"""What becomes of what a process holds: kept after a normal end, given back after any other.

Normal: its target returned, or its program ended with status 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from support.processes import abort_on_purpose
from support.program import run_program
from support.starting import Start

import millpond
from millpond.context import BaseContext

SOON = 0.12
"""Seconds that are enough to look whether a holder lives."""


class Mistake(Exception):
    pass


def fail() -> None:
    raise Mistake


def kill_with(number: int) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait()


def exit_at_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    kill_with(signal.SIGTERM)


def exit_in_a_finally() -> None:
    try:
        fail()
    finally:
        sys.exit(0)


def leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


NORMAL: dict[str, tuple[Callable[..., object], tuple[Any, ...]]] = {
    "return": (int, ()),
    "exit()": (sys.exit, ()),
    "exit(0)": (sys.exit, (0,)),
    "exit(False)": (sys.exit, (False,)),
    "exit(256)": (sys.exit, (256,)),
    "exit(0) at SIGTERM": (exit_at_sigterm, ()),
    "exit(0) while failing": (exit_in_a_finally, ()),
    "return beside a daemon thread": (leave_a_thread, ()),
}
OTHER: dict[str, tuple[Callable[..., object], tuple[Any, ...]]] = {
    "SIGKILL": (kill_with, (signal.SIGKILL,)),
    "SIGTERM": (kill_with, (signal.SIGTERM,)),
    "abort": (abort_on_purpose, ()),
    "os._exit(1)": (os._exit, (1,)),
    # Nothing of a program runs after that, whatever the status.
    "os._exit(0)": (os._exit, (0,)),
    "exception": (fail, ()),
    "exit(1)": (sys.exit, (1,)),
    "exit(text)": (sys.exit, ("it does not work",)),
}


def make_things(context: BaseContext) -> dict[str, Any]:
    return {
        "Lock": context.Lock(),
        "RLock": context.RLock(),
        "Value": context.Value("i", 0).get_lock(),
        "Array": context.Array("i", 2).get_lock(),
        "Condition": context.Condition(),
        "Condition over a Lock": context.Condition(context.Lock()),
        "Semaphore": context.Semaphore(3),
        "BoundedSemaphore": context.BoundedSemaphore(3),
        # This one has a biased owner that lives.
        "shared Semaphore": context.Semaphore(4),
    }


def take(things: dict[str, Any]) -> None:
    for name, thing in things.items():
        assert thing.acquire()
        if "RLock" in name or "Semaphore" in name:
            assert thing.acquire()


def take_and_end(things: dict[str, Any], end: Callable[..., object], *args: Any) -> None:
    take(things)
    end(*args)


def assert_kept(things: dict[str, Any]) -> None:
    for name, thing in things.items():
        left = 1 if "Semaphore" in name else 0
        taken = [thing.acquire(timeout=SOON) for _ in range(left + 1)]
        assert taken == [True] * left + [False], name


def assert_given_back(things: dict[str, Any]) -> None:
    for name, thing in things.items():
        if "Semaphore" in name:
            assert [thing.acquire(timeout=SOON) for _ in range(4)] == [True] * 3 + [False], name
        else:
            with pytest.raises(millpond.OwnerDied):
                thing.acquire()
            assert thing.acquire(), name


def run(context: BaseContext, start: Start, end: Callable[..., object], *args: Any) -> Any:
    things = make_things(context)
    things["shared Semaphore"].acquire()
    start(take_and_end, things, end, *args).join()
    return things


@pytest.mark.parametrize("end", NORMAL)
def test_a_normal_end_of_a_process_keeps(context: BaseContext, start: Start, end: str) -> None:
    call, args = NORMAL[end]
    assert_kept(run(context, start, call, *args))


@pytest.mark.parametrize("end", OTHER)
def test_any_other_end_of_a_process_gives_back(
    context: BaseContext, start: Start, end: str
) -> None:
    call, args = OTHER[end]
    assert_given_back(run(context, start, call, *args))


def test_a_process_that_is_terminated_gives_back(context: BaseContext, start: Start) -> None:
    things, there = make_things(context), context.Event()
    things["shared Semaphore"].acquire()
    process = start(take_and_wait, things, there)
    there.wait()
    process.terminate()
    process.join()
    assert_given_back(things)


def take_and_wait(things: dict[str, Any], there: Any) -> None:
    take(things)
    there.set()
    threading.Event().wait()


def test_what_was_released_is_not_kept(context: BaseContext, start: Start) -> None:
    things = make_things(context)
    start(take_and_release, things).join()
    del things["shared Semaphore"]
    for name, thing in things.items():
        assert thing.acquire(timeout=SOON), name
        assert "Semaphore" not in name or thing.get_value() == 2


def take_and_release(things: dict[str, Any]) -> None:
    for thing in things.values():
        with thing, thing if hasattr(thing, "get_value") else threading.Lock():
            pass


def keep(things: dict[str, Any]) -> None:
    globals()["kept"] = things


def take_kept(_: object = None) -> None:
    take(globals()["kept"])


def pass_on(_: object) -> None:
    pass


@pytest.mark.parametrize("way", ["close", "maxtasksperchild", "executor"])
@pytest.mark.parametrize("task", ["it ends well", "it fails"])
def test_a_worker_that_leaves_keeps(context: BaseContext, way: str, task: str) -> None:
    things = make_things(context)
    things["shared Semaphore"].acquire()
    if way == "executor":
        with ProcessPoolExecutor(
            1, mp_context=context, initializer=keep, initargs=(things,)
        ) as executor:
            executor.submit(take_kept).result()
            if task == "it fails":
                assert isinstance(executor.submit(fail).exception(), Mistake)
    else:
        most = 1 if way == "maxtasksperchild" else None
        with context.Pool(1, keep, (things,), maxtasksperchild=most) as pool:
            pool.apply(take_kept)
            if task == "it fails":
                with pytest.raises(Mistake):
                    pool.apply(fail)
            pool.close()
            pool.join()
    assert_kept(things)


def test_what_a_task_got_as_an_argument_is_kept_too(context: BaseContext) -> None:
    things = make_things(context)
    things["shared Semaphore"].acquire()
    with context.Pool(1) as pool:
        # The worker's handles are gone when the task is.
        pool.apply(take, (things,))
        pool.apply(pass_on, (None,))
        pool.close()
        pool.join()
    assert_kept(things)


@pytest.mark.parametrize("passing", ["initializer", "argument"])
def test_an_idle_worker_keeps_when_its_pool_is_terminated(
    context: BaseContext, passing: str
) -> None:
    """As a `with` block ends a pool: no task of it was cut off."""
    things = make_things(context)
    things["shared Semaphore"].acquire()
    if passing == "initializer":
        with context.Pool(1, keep, (things,)) as pool:
            pool.apply(take_kept)
    else:
        with context.Pool(1) as pool:
            pool.apply(take, (things,))
    pool.join()
    assert_kept(things)


def test_a_task_that_is_cut_off_gives_back(context: BaseContext) -> None:
    things, there = make_things(context), context.Event()
    things["shared Semaphore"].acquire()
    with context.Pool(1) as pool:
        pool.apply_async(take_and_wait, (things, there))
        there.wait()
    pool.join()
    assert_given_back(things)


def test_a_kept_lock_may_be_released_by_another(context: BaseContext, start: Start) -> None:
    lock = context.Lock()
    waiting = threading.Thread(target=lock.acquire)
    start(lock.acquire).join()
    waiting.start()
    lock.release()
    waiting.join()
    assert lock.acquire(timeout=SOON) is False


def test_kept_permits_are_permits(context: BaseContext, start: Start) -> None:
    semaphore, there = context.BoundedSemaphore(3), context.Event()
    start(semaphore.acquire).join()
    assert semaphore.get_value() == 2
    # Those of a process that is killed still come back,
    process = start(take_and_wait, {"Semaphore": semaphore}, there)
    there.wait()
    assert semaphore.get_value() == 0
    process.kill()
    process.join()
    assert [semaphore.acquire(timeout=SOON) for _ in range(3)] == [True, True, False]
    # and what another process took may be released here.
    for _ in range(3):
        semaphore.release()
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()


def test_a_child_of_the_standard_library_s_keeps_too(start_method: str) -> None:
    from multiprocessing import get_context

    things = make_things(millpond.get_context(start_method))
    things["shared Semaphore"].acquire()
    process: Any = get_context(start_method).Process(target=take, args=(things,))  # type: ignore[attr-defined]
    process.start()
    process.join()
    process.close()
    assert_kept(things)


PROGRAM = """
import atexit, os, select, sys
import millpond

def release(*things):
    for thing in things:
        thing.release()

def main(end):
    lock, semaphore = millpond.Lock(), millpond.Semaphore(2)
    # A pipe's end is closed before the process is dead.
    program = os.pidfd_open(os.getpid())
    observer = os.fork()
    if observer == 0:
        select.select([program], [], [])
        try:
            taken = lock.acquire(timeout=0.3)
        except millpond.OwnerDied:
            taken = "OwnerDied"
        print(taken, [semaphore.acquire(timeout=0.3) for _ in range(2)], flush=True)
        os._exit(0)
    assert lock.acquire() and semaphore.acquire()
    exec(end)

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("end", "is_normal"),
    [
        ("pass", True),
        ("sys.exit()", True),
        ("sys.exit(0)", True),
        ("sys.exit(3)", False),
        ("sys.exit('text')", False),
        ("raise ValueError", False),
        ("os._exit(0)", False),
        ("os.abort()", False),
        ("os.kill(os.getpid(), 9)", False),
        ("atexit.register(os._exit, 1)", False),
        # Handlers that the program registered come first.
        ("atexit.register(release, lock, semaphore)", None),
    ],
)
@pytest.mark.parametrize("runner", [[], ["-m", "millpond"]])
def test_the_end_of_a_program(
    end: str, is_normal: bool | None, runner: list[str], tmp_path: Any
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_program([sys.executable, *runner, program, end])
    outcomes = {
        True: "False [True, False]",
        False: "OwnerDied [True, True]",
        None: "True [True, True]",
    }
    assert done.stdout.strip() == outcomes[is_normal], done.stderr
