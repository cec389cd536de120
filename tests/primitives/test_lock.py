"""`Lock` and `RLock`: who may hold them, who may release them, and how they travel."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.program import run_program
from support.starting import Start

import millpond
from millpond.context import BaseContext
from millpond.synchronize import RLock

KINDS = ["Lock", "RLock"]


@pytest.fixture(params=KINDS)
def lock(request: pytest.FixtureRequest) -> Any:
    return getattr(millpond, request.param)()


def in_thread(function: Callable[[], Any]) -> Any:
    """Return what the function returns, or raises, in another thread."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, name="Other")
    thread.start()
    thread.join()
    return results[0]


def acquire_and_release(lock: RLock) -> bool:
    acquired = lock.acquire(False)
    lock.release()
    return acquired


def test_a_lock_is_held_by_one() -> None:
    lock = millpond.Lock()
    assert lock.acquire() is True
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=0.01) is False
    assert in_thread(lambda: lock.acquire(False)) is False
    lock.release()
    assert lock.acquire(block=True, timeout=None) is True


def test_locked(lock: Any) -> None:
    assert lock.locked() is False
    with lock:
        assert lock.locked() is True
        assert in_thread(lock.locked) is True
    assert in_thread(lock.locked) is False


def is_locked(lock: Any, answer: Any) -> None:
    answer.put(lock.locked())


def test_locked_by_another_process(context: BaseContext, start: Start) -> None:
    lock, answer = context.Lock(), context.SimpleQueue()
    with lock:
        start(is_locked, lock, answer).join()
    start(is_locked, lock, answer).join()
    assert [answer.get(), answer.get()] == [True, False]
    answer.close()


def test_anybody_may_release_a_lock() -> None:
    lock = millpond.Lock()
    lock.acquire()
    assert in_thread(lock.release) is None
    with pytest.raises(ValueError, match="released too many times"):
        lock.release()
    assert lock.acquire(False)


def test_only_its_owner_may_release_a_reentrant_lock() -> None:
    lock = millpond.RLock()
    assert lock.acquire() and lock.acquire(False)
    assert in_thread(lambda: lock.acquire(False)) is False
    assert isinstance(in_thread(lock.release), AssertionError)
    lock.release()
    assert in_thread(lambda: lock.acquire(False)) is False
    lock.release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        lock.release()
    assert in_thread(lambda: acquire_and_release(lock)) is True


def test_with_statement(lock: Any) -> None:
    with lock as entered:
        assert entered is True
        assert in_thread(lambda: lock.acquire(False)) is False
    with pytest.raises(ZeroDivisionError), lock:
        _ = 1 / 0
    assert in_thread(lambda: lock.acquire(False)) is True


@pytest.mark.parametrize("timeout", [-1, -0.5, 0])
def test_a_timeout_that_is_over_is_one_try(lock: Any, timeout: float) -> None:
    assert lock.acquire(True, timeout)
    assert in_thread(lambda: lock.acquire(True, timeout)) is False


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((True, "soon"), TypeError), ((True, float("nan")), ValueError), ((1, 2, 3), TypeError)],
)
def test_arguments_that_make_no_sense(lock: Any, arguments: Any, error: type) -> None:
    with pytest.raises(error):
        lock.acquire(*arguments)
    assert lock.acquire(False)


def test_threads_exclude_each_other(lock: Any) -> None:
    counts = [0]

    def count() -> None:
        for _ in range(500):
            with lock:
                seen = counts[0]
                time.sleep(0)
                counts[0] = seen + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [2000]


def test_what_locks_look_like() -> None:
    lock, again = millpond.Lock(), millpond.RLock()
    assert (repr(lock), repr(again)) == ("<Lock(owner=None)>", "<RLock(None, 0)>")
    with lock, again, again:
        assert repr(lock) == "<Lock(owner=MainProcess)>"
        assert repr(again) == "<RLock(MainProcess, 2)>"
        assert in_thread(lambda: repr(lock)) == "<Lock(owner=SomeOtherThread)>"
        assert in_thread(lambda: repr(again)) == "<RLock(SomeOtherThread, nonzero)>"

    def in_other() -> str:
        with lock:
            return repr(lock)

    assert in_thread(in_other) == "<Lock(owner=MainProcess|Other)>"


def test_what_programs_look_at_privately(lock: Any) -> None:
    semlock = lock._semlock
    assert isinstance(semlock.name, str)
    assert semlock.maxvalue == 1
    assert (semlock._is_mine(), semlock._count(), semlock._get_value()) == (False, 0, 1)
    assert semlock.acquire()
    assert (semlock._is_mine(), semlock._count(), semlock._is_zero()) == (True, 1, True)
    semlock.release()


def hold(lock: Any, held: Any, let_go: Any) -> None:
    with lock:
        held.set()
        let_go.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_processes_exclude_each_other(context: BaseContext, start: Start, kind: str) -> None:
    lock, held, let_go = getattr(context, kind)(), context.Event(), context.Event()
    process = start(hold, lock, held, let_go)
    held.wait()
    assert lock.acquire(False) is False
    assert "SomeOtherProcess" in repr(lock)
    let_go.set()
    with lock:
        assert lock.acquire(False) is (kind == "RLock")
    process.join()
    assert process.exitcode == 0


def release(lock: Any) -> None:
    lock.release()


def test_a_child_may_release_a_lock_of_its_parent(context: BaseContext, start: Start) -> None:
    lock = context.Lock()
    lock.acquire()
    start(release, lock).join()
    assert not lock._semlock._is_mine()
    assert lock.acquire(False)


def test_a_child_may_not_release_a_reentrant_lock(context: BaseContext, start: Start) -> None:
    lock = context.RLock()
    lock.acquire()
    process = start(fails_to_release, lock)
    process.join()
    assert process.exitcode == 0
    lock.release()


def fails_to_release(lock: Any) -> None:
    with pytest.raises(AssertionError):
        lock.release()


def test_a_lock_is_shared_by_many_handles(lock: Any) -> None:
    again = pickle.loads(pickle.dumps(lock))
    assert type(again) is type(lock)
    with lock:
        assert in_thread(lambda: again.acquire(False)) is False
    assert again.acquire(False)


def acquired(lock: Any) -> bool:
    got: bool = lock.acquire(False)
    return got


def test_a_lock_is_a_task_s_argument(context: BaseContext) -> None:
    lock = context.Lock()
    with context.Pool(1) as pool:
        assert pool.apply(acquired, (lock,)) is True
        assert pool.apply(acquired, (lock,)) is False
        assert lock.acquire(False) is False
        lock.release()
        assert pool.map(acquired, [lock, lock]) == [True, False]


def keep(lock: Any) -> None:
    globals()["kept"] = lock


def kept_is_free(_: Any) -> bool:
    return acquired(globals()["kept"])


def test_a_lock_is_an_initializer_s_argument(context: BaseContext) -> None:
    lock = context.Lock()
    with context.Pool(1, keep, (lock,)) as pool:
        assert pool.map(kept_is_free, range(2)) == [True, False]
    assert lock.acquire(False) is False


def test_more_locks_than_descriptors_are_passed(context: BaseContext, start: Start) -> None:
    locks = [context.Lock() for _ in range(400)]
    process = start(release_all, locks)
    for lock in locks:
        lock.acquire()
    process.join()
    assert process.exitcode == 0
    for lock in locks:
        assert lock.acquire(False)
        lock.release()


def release_all(locks: list[Any]) -> None:
    for lock in locks:
        while lock.acquire(False):
            lock.release()
        lock.release()


def test_damaged_handles_are_refused() -> None:
    made: Any = type(millpond.Lock())
    wire_handle = millpond.Lock()._wire_handle(False)
    for bad in (b"", b"nonsense", wire_handle[:-1], bytes(len(wire_handle))):
        with pytest.raises((ValueError, OSError)):
            made._open(bad, None)
    with pytest.raises(ValueError, match="do not name a shared object of this kind"):
        type(millpond.RLock())._open(wire_handle, None)
    with pytest.raises(TypeError):
        made._open("text", None)


NAMES = """
import sys, {module} as multiprocessing
from multiprocessing import resource_tracker

def in_shm():
    with open("/proc/self/maps") as maps:
        return "/dev/shm/" in maps.read()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    kept = [context.Lock(), context.Condition(), context.Event(), context.Barrier(1)]
    kept += [context.Queue(), context.Value("i")]
    print(in_shm(), resource_tracker._resource_tracker._fd is not None)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_system_has_no_names_of_them(method: str) -> None:
    program = [sys.executable, "-c", NAMES.format(module="millpond"), method]
    assert run_program(program).stdout == "False False\n"
    # So much for whether that shows anything.
    program = [sys.executable, "-c", NAMES.format(module="multiprocessing"), method]
    assert run_program(program).stdout.startswith("True ")
