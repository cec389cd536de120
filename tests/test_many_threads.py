"""Many threads use one object at once, and the interpreter switches between them all the time.

There is no free-threaded interpreter here. Under the GIL a thread may be interrupted between any
two bytecodes, and a switch interval of a microsecond makes that happen: whatever looks at an
attribute and then acts on it is found here, as long as it is Python code.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import numpy as np
import pytest
from support.program import run_program

import millpond
import millpond.pool
from millpond._deaths import owner_died

THREADS = 8

T = TypeVar("T")


@pytest.fixture(autouse=True)
def tiny_switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(function: Callable[[int], T], count: int = THREADS) -> list[T]:
    """Call a function in many threads at once, with the number of each; return what they return."""
    ready = threading.Barrier(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            ready.wait()
            results[number] = function(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def square(number: int) -> int:
    return number * number


# What is made when it is first asked for is made once.


@pytest.mark.parametrize("end", ["_reader", "_writer"])
def test_a_queue_has_one_end_of_each_kind(end: str) -> None:
    for _ in range(300):
        queue: Any = millpond.Queue()
        ends = in_threads(lambda _: getattr(queue, end), 4)  # noqa: B023
        assert len({id(one) for one in ends}) == 1


def test_a_structure_has_one_wrapper_class() -> None:
    for number in range(100):
        kind: Any = type(f"Point{number}", (ctypes.Structure,), {"_fields_": [("x", ctypes.c_int)]})
        kinds: list[type] = in_threads(lambda _: type(millpond.Value(kind, 1)), 4)  # noqa: B023
        assert len(set(kinds)) == 1


IN_THREADS = """\
import sys, threading
sys.setswitchinterval(1e-6)
import multiprocessing.pool, multiprocessing.queues, multiprocessing.synchronize
import millpond

ready = threading.Barrier(8)
seen = []

def run():
    ready.wait()
    millpond.install()
    seen.append((multiprocessing.pool.Pool, multiprocessing.queues.Queue,
                 multiprocessing.synchronize.Lock, multiprocessing.sharedctypes.Synchronized))

import multiprocessing.sharedctypes
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
kinds = {kind for kinds in seen for kind in kinds}
print(len(seen), len(kinds), sum(kind.__mro__[1].__module__.startswith("millpond")
                                 or kind.__module__.startswith("millpond") for kind in kinds))
"""


@pytest.mark.parametrize("turn", range(5))
def test_whoever_installs_finds_millpond_installed(turn: int) -> None:
    done = run_program([sys.executable, "-c", IN_THREADS])
    assert (done.returncode, done.stdout) == (0, "8 4 4\n"), done.stderr


# What the process knows of its children may change while it is looked through.


def test_processes_are_made_while_a_death_is_told() -> None:
    stop = threading.Event()
    _kept = [millpond.Process() for _ in range(200)]

    def work(number: int) -> None:
        if number == 0:
            try:
                for _ in range(200):
                    assert owner_died(2**22, False).exitcode is None
            finally:
                stop.set()
        while not stop.is_set():
            # It is in the set of all processes as long as it is kept.
            _child = millpond.Process()

    in_threads(work, 4)


def test_the_workers_are_looked_at_while_they_are_replaced() -> None:
    with millpond.get_context("fork").Pool(4, maxtasksperchild=1) as pool:
        stop = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                try:
                    assert pool.map(square, range(100), chunksize=1) == [n * n for n in range(100)]
                finally:
                    stop.set()
            while not stop.is_set():
                assert all(worker.name for worker in pool._pool)

        in_threads(work, 4)
        in_threads(lambda _: pool._pool, 4)
        # No worker is known twice.
        names = [child.name for child in millpond.active_children()]
        assert len(names) == len(set(names))


def test_the_sentinel_of_a_worker_is_one_descriptor() -> None:
    with millpond.get_context("fork").Pool(1) as pool:
        (worker,) = pool._pool
        assert len(set(in_threads(lambda _: worker.sentinel))) == 1


# A pool and an executor for all.


def a_pool() -> millpond.pool.Pool:
    return millpond.get_context("fork").Pool(2)


def test_all_kinds_of_calls() -> None:
    with a_pool() as pool:

        def work(number: int) -> None:
            for turn in range(10):
                start = number * 1000 + turn
                items = range(start, start + 20)
                squares = [n * n for n in items]
                assert pool.apply(square, (start,)) == start * start
                assert pool.map(square, items, chunksize=3) == squares
                assert list(pool.imap(square, iter(items))) == squares
                assert sorted(pool.imap_unordered(square, items)) == squares
                assert pool.starmap(pow, [(start, 2)]) == [start * start]
                # By value, with a state of its own for each thread.

                def add(n: int, start: int = start) -> int:
                    return n + start

                assert pool.map(add, range(5)) == [start + n for n in range(5)]

        in_threads(work)


@pytest.mark.parametrize("chunksize", [1, 7])
@pytest.mark.parametrize("kind", ["imap", "imap_unordered"])
def test_one_iterator_for_all(kind: str, chunksize: int) -> None:
    with a_pool() as pool:
        # It is read by whichever thread the pool has for that, and by no two at once.
        source = (n for n in range(2000))
        results = getattr(pool, kind)(square, source, chunksize)
        taken = in_threads(lambda _: list(results))
        assert sorted(itertools.chain(*taken)) == [n * n for n in range(2000)]


def test_one_result_for_all() -> None:
    with a_pool() as pool:
        for _ in range(50):
            result = pool.map_async(square, range(5))
            assert in_threads(lambda _: result.get(30)) == [[0, 1, 4, 9, 16]] * THREADS  # noqa: B023


def test_callbacks_of_all() -> None:
    with a_pool() as pool:
        called: Counter[int] = Counter()

        def count(result: int) -> None:
            called[result] += 1

        def work(number: int) -> None:
            for turn in range(25):
                pool.apply_async(
                    square, (number * 100 + turn,), callback=lambda n: called.update([n])
                )

        in_threads(work)
        pool.close()
        pool.join()
        assert called == Counter((t * 100 + n) ** 2 for t in range(THREADS) for n in range(25))


def test_arrays_of_all_go_beside_their_own_pickles() -> None:
    with a_pool() as pool:

        def work(number: int) -> None:
            for turn in range(10):
                array = np.full(20_000, number * 100 + turn)
                (same, text) = pool.apply(lambda array, text: (array, text), (array, str(turn)))
                assert (same == array).all()
                assert text == str(turn)

        in_threads(work)


def test_threads_that_close_and_terminate() -> None:
    with a_pool() as pool:

        def work(number: int) -> None:
            if number < 2:
                time.sleep(0.001)
                pool.close() if number else pool.terminate()
            else:
                try:
                    while True:
                        assert pool.apply(square, (number,)) == number * number
                except (ValueError, millpond.PoolTerminated):
                    return

        in_threads(work)
        pool.join()


def test_an_executor_for_all() -> None:
    with millpond.ProcessPoolExecutor(2, millpond.get_context("fork")) as executor:

        def work(number: int) -> int:
            futures = [executor.submit(square, n) for n in range(100)]
            cancelled = sum(future.cancel() for future in futures[50 + number :: 7])
            done = 0
            for n, future in enumerate(futures):
                try:
                    assert future.result(30) == n * n
                    done += 1
                except CancelledError:
                    pass
            assert done + cancelled == 100
            assert list(executor.map(square, range(20), chunksize=3)) == [n * n for n in range(20)]
            return done

        assert all(done >= 50 for done in in_threads(work))


# Primitives.


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_one_at_a_time(kind: str) -> None:
    lock = getattr(millpond, kind)()
    total = 0

    def work(_: int) -> None:
        nonlocal total
        for _ in range(300):
            with lock:
                before = total
                total = before + 1

    in_threads(work)
    assert total == THREADS * 300


def test_an_rlock_knows_its_thread() -> None:
    lock = millpond.RLock()

    def work(_: int) -> None:
        for _ in range(100):
            with lock, lock:
                assert lock._semlock._is_mine()
            with pytest.raises(AssertionError):
                lock.release()

    in_threads(work)


def test_a_condition_wakes_each_that_waits() -> None:
    condition = millpond.Condition()
    tokens = 0

    def work(number: int) -> None:
        nonlocal tokens
        for _ in range(50):
            with condition:
                if number % 2:
                    tokens += 1
                    condition.notify()
                else:
                    assert condition.wait_for(lambda: tokens > 0, 30)  # noqa: B023
                    tokens -= 1

    in_threads(work)
    assert tokens == 0


def test_an_event_and_a_barrier() -> None:
    events = [millpond.Event() for _ in range(50)]
    barrier = millpond.Barrier(THREADS)

    def work(number: int) -> list[int]:
        places = []
        for turn, event in enumerate(events):
            if turn % THREADS == number:
                event.set()
            assert event.wait(30)
            places.append(barrier.wait(30))
        return places

    for places in zip(*in_threads(work), strict=True):
        assert sorted(places) == list(range(THREADS))


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_each_item_is_taken_once(kind: str) -> None:
    queue = getattr(millpond, kind)()
    each = 200

    def work(number: int) -> list[Any]:
        if number % 2:
            for n in range(each):
                # Plain values, pickles and arrays by turns.
                queue.put([(number, n), {"n": (number, n)}, np.full(9_000, n)][n % 3])
            return []
        taken = []
        for _ in range(each):
            item = queue.get()
            taken.append(item if isinstance(item, tuple) else None)
            if kind == "JoinableQueue":
                queue.task_done()
        return taken

    taken = [item for items in in_threads(work) for item in items]
    assert len(taken) == each * THREADS // 2
    plain = [item for item in taken if item is not None]
    assert len(plain) == len(set(plain))
    assert queue.empty()
    if kind == "JoinableQueue":
        queue.join()


def test_a_pipe_whose_ends_are_shared() -> None:
    reader, writer = millpond.Pipe(duplex=False)
    each = 200

    def work(number: int) -> list[Any]:
        if number % 2:
            for n in range(each):
                writer.send((number, n, "x" * (n * 40)))
            return []
        return [reader.recv() for _ in range(each)]

    with reader, writer:
        taken = [item for items in in_threads(work) for item in items]
    expected = {(number, n, "x" * (n * 40)) for number in range(1, THREADS, 2) for n in range(each)}
    assert len(taken) == len(expected)
    assert set(taken) == expected


def test_additions_of_threads_are_not_lost() -> None:
    value, array = millpond.Value("q"), millpond.Array("q", 3)

    def work(_: int) -> None:
        for n in range(300):
            value.add(1)
            array.add(n % 3, 1)
            with array.get_lock():
                array[0] += 1

    in_threads(work)
    assert value.value == THREADS * 300
    assert list(array) == [THREADS * 400, THREADS * 100, THREADS * 100]
