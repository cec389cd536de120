"""The input of `imap`: who reads it, how far, and what ends the reading."""

from __future__ import annotations

import gc
import itertools
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from faulty_tasks import double, fail_to_start
from gate import Gate, until
from support.program import run_program

import millpond
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]

BOTH = pytest.mark.parametrize("method", ["imap", "imap_unordered"])


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "millpond-imap"]


class Counted:
    """Gives numbers for ever, and knows how many it gave."""

    def __init__(self) -> None:
        self.given = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.given += 1
        return self.given - 1


class Blocked:
    """Gives a few numbers and then nothing until it is told to end."""

    def __init__(self, count: int = 0) -> None:
        self.go_on = threading.Event()
        self.blocks = threading.Event()
        self.closed_by: threading.Thread | None = None
        self.count = count

    def items(self) -> Iterator[int]:
        try:
            yield from range(self.count)
            self.blocks.set()
            self.go_on.wait()
        finally:
            self.closed_by = threading.current_thread()


def join(pool: Pool) -> None:
    pool.close()
    pool.join()


@BOTH
@pytest.mark.parametrize(("size", "chunksize"), [(1, 1), (3, 1), (7, 4)])
def test_no_more_is_read_than_the_buffer_holds(
    make_pool: PoolMaker, method: str, size: int, chunksize: int
) -> None:
    pool, source = make_pool(2), Counted()
    results = getattr(pool, method)(double, source, chunksize, buffersize=size)
    for taken in range(20):
        next(results)
        assert source.given <= (taken // chunksize + 1 + size) * chunksize
    until(lambda: source.given == (19 // chunksize + 1 + size) * chunksize)
    join(pool)
    assert source.given == (19 // chunksize + 1 + size) * chunksize
    # What was read by then is done, and the rest given up, as in CPython 3.16.
    assert 20 + len(list(results)) == source.given


@BOTH
@pytest.mark.parametrize("size", [1, 2, 300])
def test_a_buffer_of_any_size_changes_no_result(
    make_pool: PoolMaker, method: str, size: int
) -> None:
    pool = make_pool(2)
    expected = list(range(0, 200, 2))
    assert sorted(getattr(pool, method)(double, range(100), buffersize=size)) == expected
    assert sorted(getattr(pool, method)(double, iter(range(100)), 3, size)) == expected


@BOTH
@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)]
)
def test_buffers_of_no_size(
    make_pool: PoolMaker, method: str, size: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="buffersize"):
        getattr(make_pool(1), method)(double, [1], buffersize=size)


@BOTH
def test_input_that_nobody_bounds_is_bounded(make_pool: PoolMaker, method: str) -> None:
    pool, source = make_pool(2), Counted()
    results = getattr(pool, method)(double, source)
    until(lambda: source.given >= 256)
    for _ in range(1000):
        next(results)
    assert source.given <= 1000 + 256


@BOTH
@pytest.mark.parametrize("endless", [Counted, itertools.count], ids=["own", "count"])
def test_join_ends_the_reading_of_endless_input(
    make_pool: PoolMaker, method: str, endless: Callable[[], Any]
) -> None:
    pool = make_pool(2)
    results = getattr(pool, method)(double, endless())
    taken = [next(results) for _ in range(10)]
    join(pool)
    unread = pytest.raises(ValueError, match="was not read")
    with unread if endless is Counted else nullcontext():
        for result in results:
            taken.append(result)
    assert sorted(taken) == list(range(0, 2 * len(taken), 2))
    assert 10 <= len(taken) <= 10 + 256
    assert readers() == []


@BOTH
def test_a_loop_over_endless_input_that_is_left(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(2)
    results = getattr(pool, method)(double, Counted())
    pool.close()
    for result in results:
        if result > 10:
            break
    pool.join()
    assert readers() == []


@BOTH
def test_a_thread_that_leaves_endless_input_while_another_joins(
    make_pool: PoolMaker, method: str
) -> None:
    pool = make_pool(2)
    results = getattr(pool, method)(double, Counted())
    begun, leave = threading.Event(), threading.Event()

    def take() -> None:
        for _ in range(1000):
            next(results)
        begun.set()
        leave.wait()

    taker = threading.Thread(target=take)
    taker.start()
    begun.wait()
    pool.close()
    joiner = threading.Thread(target=pool.join)
    joiner.start()
    leave.set()
    taker.join()
    joiner.join()
    assert readers() == []


@pytest.mark.parametrize(
    "endless",
    [itertools.count(), itertools.repeat(1), itertools.cycle([1, 2])],
    ids=lambda items: type(items).__name__,
)
@pytest.mark.parametrize("kept", [True, False])
def test_close_ends_the_reading_of_input_known_to_be_endless(
    make_pool: PoolMaker, endless: Any, kept: bool
) -> None:
    pool = make_pool(2)
    results: Any = pool.imap_unordered(double, endless)
    if not kept:
        del results
    join(pool)
    assert readers() == []


@BOTH
def test_join_waits_for_another_thread_that_takes_results(
    make_pool: PoolMaker, method: str
) -> None:
    pool = make_pool(2)
    results = getattr(pool, method)(double, (n for n in range(2000)))
    taken: list[int] = []
    begun = threading.Event()

    def take() -> None:
        for result in results:
            taken.append(result)
            begun.set()

    thread = threading.Thread(target=take)
    thread.start()
    begun.wait()
    join(pool)
    thread.join()
    assert sorted(taken) == list(range(0, 4000, 2))


@BOTH
def test_results_of_dropped_iterators_are_not_kept(make_pool: PoolMaker, method: str) -> None:
    pool, source = make_pool(2), Counted()
    getattr(pool, method)(double, source)
    until(lambda: source.given > 2000)
    # No more waits for the workers than usual.
    assert pool._engine.backlog()[1] <= 256
    pool.terminate()
    pool.join()
    until(lambda: readers() == [])
    given = source.given
    assert given == source.given


@BOTH
@pytest.mark.parametrize("source", [list, iter])
def test_an_iterator_dropped_after_its_first_result(
    make_pool: PoolMaker, method: str, source: Callable[[Any], Any]
) -> None:
    pool = make_pool(2)
    results = getattr(pool, method)(double, source(range(2000)))
    next(results)
    del results
    join(pool)
    stats = pool.stats()
    assert stats.finished == stats.tasks
    assert (stats.tasks == 2000) is (source is list)


def test_a_list_that_changes_after_the_call(make_pool: PoolMaker) -> None:
    pool = make_pool(2)
    for size in (10, 256, 1000):
        items = list(range(size))
        results = pool.imap(double, items)
        items.append(-1)
        items[:5] = []
        assert list(results) == list(range(0, 2 * size, 2))
        table = dict.fromkeys(range(size))
        results = pool.imap(double, table.keys())
        table.clear()
        assert list(results) == list(range(0, 2 * size, 2))


@pytest.mark.parametrize(
    "items",
    [[1, 2], (1, 2), range(1, 3), {1, 2}, {1: 0, 2: 0}, {1: 0, 2: 0}.keys(), b"\1\2"],
    ids=repr,
)
def test_built_in_containers_take_no_thread(make_pool: PoolMaker, items: Any) -> None:
    pool = make_pool(1)
    results = pool.imap(double, items)
    assert readers() == []
    assert list(results) == [2, 4]


@BOTH
def test_the_thread_is_gone_when_the_results_are(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(2)
    for _ in range(20):
        assert len(list(getattr(pool, method)(double, iter(range(10))))) == 10
        assert readers() == []


@BOTH
@pytest.mark.parametrize("source", [range, lambda size: iter(range(size))], ids=["range", "iter"])
def test_several_threads_take_results(
    make_pool: PoolMaker, method: str, source: Callable[[int], Any]
) -> None:
    results = getattr(make_pool(2), method)(double, source(2000))
    taken: list[int] = []
    threads = [threading.Thread(target=lambda: taken.extend(results)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(0, 4000, 2))
    assert readers() == []


def test_input_that_uses_the_pool(make_pool: PoolMaker) -> None:
    pool = make_pool(2)
    source = (pool.apply(double, (n,)) for n in range(5))
    assert list(pool.imap(double, source)) == [0, 4, 8, 12, 16]
    nested = pool.imap(double, pool.imap(double, pool.imap(double, iter(range(600)))))
    assert list(nested) == list(range(0, 600 * 8, 8))


def test_input_that_waits_does_not_hold_up_other_calls(make_pool: PoolMaker) -> None:
    pool, first, second = make_pool(2), Blocked(), Blocked()
    results = pool.imap(double, first.items())
    others = pool.imap(double, second.items())
    first.blocks.wait()
    second.blocks.wait()
    assert list(pool.imap(double, iter([1, 2]))) == [2, 4]
    second.go_on.set()
    assert list(others) == []
    first.go_on.set()
    assert list(results) == []


@BOTH
def test_terminate_does_not_wait_for_the_input(make_pool: PoolMaker, method: str) -> None:
    pool, source = make_pool(2), Blocked(1)
    results = getattr(pool, method)(double, source.items())
    assert next(results) == 0
    source.blocks.wait()
    pool.terminate()
    pool.join()
    for _ in range(2):
        with pytest.raises(millpond.PoolTerminated):
            next(results)
    [thread] = readers()
    source.go_on.set()
    thread.join()
    # A generator ends in the thread that ran it.
    assert source.closed_by is thread


def test_terminate_while_a_thread_waits_for_a_result(make_pool: PoolMaker) -> None:
    pool, source = make_pool(2), Blocked()
    results = pool.imap(double, source.items())
    failures: list[BaseException] = []

    def take() -> None:
        try:
            next(results)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    source.blocks.wait()
    pool.terminate()
    thread.join()
    source.go_on.set()
    assert [type(error) for error in failures] == [millpond.PoolTerminated]


def test_an_iterator_dropped_while_its_input_waits(make_pool: PoolMaker) -> None:
    pool, source = make_pool(2), Blocked(1)
    results: Any = pool.imap(double, source.items())
    assert next(results) == 0
    source.blocks.wait()
    dropped = weakref.ref(results)
    del results
    assert dropped() is None
    join(pool)
    source.go_on.set()
    until(lambda: readers() == [])


def test_an_iterator_dropped_while_its_reader_waits_for_room(make_pool: PoolMaker) -> None:
    pool = make_pool(2)
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    results: Any = pool.imap(double, source(), buffersize=2)
    assert next(results) == 0
    del results
    closed.wait()
    until(lambda: readers() == [])


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
def test_a_pool_dropped_while_its_input_waits(start_method: str) -> None:
    source = Blocked(1)
    pool: Any = millpond.get_context(start_method).Pool(2)
    engine = pool._engine
    results: Any = pool.imap(double, source.items())
    source.blocks.wait()
    del results, pool
    gc.collect()
    assert engine.wait_ended(0)
    source.go_on.set()
    until(lambda: readers() == [])


def test_unread_input_of_a_broken_pool(make_pool: PoolMaker) -> None:
    pool = make_pool(1, fail_to_start, ("no",))
    results = pool.imap(double, Counted())
    pool.close()
    with pytest.raises(millpond.BrokenPool):
        list(results)
    pool.join()
    assert readers() == []


@BOTH
def test_no_thread_is_to_be_had(
    make_pool: PoolMaker, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = make_pool(2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            getattr(pool, method)(double, iter(range(10)))
        for call in (pool.apply_async, pool.map_async):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                call(double, [1], callback=print)
        # A list needs none, not even when nobody takes the results.
        assert list(getattr(pool, method)(double, [1])) == [2]
        getattr(pool, method)(double, list(range(1000)))
        assert pool.stats().tasks >= 1001
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    assert pool.apply_async(double, (2,), callback=told.put).get() == 4
    assert told.get() == 4
    join(pool)
    stats = pool.stats()
    assert stats.finished == stats.tasks


def test_terminate_after_a_callback_thread_could_not_be_started(
    make_pool: PoolMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = make_pool(2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.apply_async(double, (1,), error_callback=print)
        pool.terminate()
        pool.join()


def test_a_chunk_whose_task_raises_stop_iteration(make_pool: PoolMaker) -> None:
    pool = make_pool(2)
    for chunksize in (1, 2, 300, 2000):
        with pytest.raises(StopIteration):
            pool.map(next_of, [[1], [], [2]] * 700, chunksize)
        with pytest.raises(StopIteration):
            pool.starmap(next_of, [([1],), ([],)] * 1500, chunksize)
        results = pool.imap(
            next_of, [[1]] * chunksize + [[]] + [[1]] * (2 * chunksize - 1), chunksize
        )
        assert [next(results) for _ in range(chunksize)] == [1] * chunksize
        with pytest.raises(StopIteration if chunksize == 1 else RuntimeError):
            next(results)
        assert list(results) == [1] * chunksize


def next_of(items: list[int]) -> int:
    return next(iter(items))


LEAVES = """
import sys, threading, {module} as multiprocessing

def source():
    yield -1
    blocks.set()
    threading.Event().wait()

if __name__ == "__main__":
    blocks = threading.Event()
    pool = multiprocessing.get_context(sys.argv[1]).Pool(2)
    results = pool.imap(abs, source())
    print(next(results))
    blocks.wait()
    pool.terminate()
    pool.join()
"""


def test_a_program_ends_while_its_input_waits(start_method: str, tmp_path: Any) -> None:
    program = tmp_path / "leaves.py"
    for end in ("", "    sys.exit(3)\n"):
        program.write_text(LEAVES.format(module="millpond") + end)
        done = run_program([sys.executable, program, start_method])
        assert (done.returncode, done.stdout, done.stderr) == (3 if end else 0, "1\n", "")


FORKS = """
import os, sys, millpond

def source():
    yield from range(10)

if __name__ == "__main__":
    pool = millpond.get_context(sys.argv[1]).Pool(2)
    kept = pool.imap(abs, iter(range(-1000, 0)))
    print(next(kept), sum(pool.imap(abs, source())), sum(pool.imap(abs, [1, 2])), flush=True)
    child = os.fork()
    if child == 0:
        for call in (lambda: next(kept), lambda: kept.next(0), pool.close, lambda: kept._index):
            try:
                print(call())
            except millpond.WrongProcess as error:
                print(type(error).__name__)
        del kept, call
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print(len(list(kept)))
    pool.close()
    pool.join()
    if os.fork() == 0:
        os._exit(0)
    os.wait()
"""


def test_a_child_forked_while_the_input_is_read(start_method: str, tmp_path: Any) -> None:
    program = tmp_path / "forks.py"
    program.write_text(FORKS)
    done = run_program([sys.executable, program, start_method])
    assert done.stdout.split() == ["1000", "45", "3", *["WrongProcess"] * 4, "999"]
    # That a fork is warned of while a pool is alive is so in the standard library, too.
    assert done.returncode == 0
    assert done.stderr.count("DeprecationWarning") <= 1


def test_no_fork_is_warned_of_when_the_pool_is_gone(start_method: str, tmp_path: Any) -> None:
    program = tmp_path / "forks.py"
    program.write_text(
        "import os, sys, millpond\n"
        "if __name__ == '__main__':\n"
        "    with millpond.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        print(sum(pool.imap(abs, iter(range(10)))))\n"
        "        pool.imap_unordered(abs, iter(range(10)))\n"
        "        pool.close()\n"
        "        pool.join()\n"
        "    if os.fork() == 0:\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    done = run_program([sys.executable, "-W", "error", program, start_method])
    assert (done.returncode, done.stdout, done.stderr) == (0, "45\n", "")


def test_results_wait_for_nothing_but_their_tasks(make_pool: PoolMaker, gate: Gate) -> None:
    pool, source = make_pool(2), Blocked(2)
    results = pool.imap_unordered(gate.hold, source.items())
    gate.wait_for(2)
    source.blocks.wait()
    with pytest.raises(millpond.TimeoutError):
        results.next(timeout=0.01)
    gate.open()
    assert {next(results), next(results)} == set(gate.arrivals().values())
    source.go_on.set()
    assert list(results) == []
