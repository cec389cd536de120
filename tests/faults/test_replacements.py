"""Workers that take the places of others: what they see, and what they do not hold."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from gate import until
from support.program import run_program
from workers import children_of

from millpond.pool import Pool

PLACE = "MILLPOND_TEST_PLACE"


def environment_and_directory(_: object = None) -> tuple[str | None, str]:
    return os.environ.get(PLACE), os.getcwd()


def links(_: object) -> int:
    """The links of workers, this one's included, that this process has."""
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            if "millpond-link" in os.readlink(entry.path):
                found.add(os.stat(entry.path).st_ino)
        except FileNotFoundError:
            continue  # that of the directory
    return len(found)


def is_main_thread_with_its_stack(depth: int) -> bool:
    nested: list[object] = []
    for _ in range(depth):
        nested = [nested]
    handler = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, handler)
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and len(json.dumps(nested)) == 2 * depth + 2


def own_number(_: object) -> tuple[tuple[int, ...], str]:
    process = multiprocessing.current_process()
    return process._identity, process.name


def name_of_process(_: object) -> str:
    with open("/proc/self/comm") as name:
        return name.read()


def test_after_a_crash(
    make_pool: Callable[..., Pool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(1)
    assert pool.apply(environment_and_directory) == (None, os.getcwd())
    monkeypatch.setenv(PLACE, "changed")
    monkeypatch.chdir(tmp_path)
    assert pool.apply(environment_and_directory)[0] is None
    [worker] = pool._pool
    worker.kill()
    worker.join()
    assert pool.apply(environment_and_directory) == ("changed", str(tmp_path))


def test_they_are_like_the_first(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(2, maxtasksperchild=1)
    assert all(pool.map(is_main_thread_with_its_stack, [900] * 6, chunksize=1))
    assert len(set(pool.map(name_of_process, range(6), chunksize=1))) == 1


def test_their_names_and_numbers_are_nobody_else_s(make_pool: Callable[..., Pool]) -> None:
    """Programs choose by them: a device, a seed, a line of the screen."""
    pools = [make_pool(2, maxtasksperchild=1) for _ in range(2)]
    found = [each for pool in pools for each in pool.map(own_number, range(3), chunksize=1)]
    process = multiprocessing.Process()
    found.append((process._identity, process.name))
    assert len({number for number, _ in found}) == len({name for _, name in found}) == len(found)


def test_they_hold_no_link_but_their_own(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(3, maxtasksperchild=1)
    assert set(pool.map(links, range(12), chunksize=1)) == {1}


def test_zygotes_end_with_the_last_of_their_workers(make_pool: Callable[..., Pool]) -> None:
    before = set(children_of(os.getpid()))
    pool = make_pool(2, maxtasksperchild=1)
    assert pool.map(abs, range(20), chunksize=1) == list(range(20))

    def zygotes() -> list[int]:
        return [pid for pid in children_of(os.getpid()) if pid not in before and children_of(pid)]

    until(lambda: len(pool._pool) == 2)
    until(lambda: 1 <= len(zygotes()) <= 2)


BESIDE_THREADS = """
import sys, threading, millpond

if __name__ == "__main__":
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with millpond.get_context(sys.argv[1]).Pool(2, maxtasksperchild=1) as pool:
        print(sum(pool.map(abs, range(6), chunksize=1)))
        pool.close()
        pool.join()
    over.set()
    thread.join()
"""


def test_no_fork_beside_threads_is_warned_of(start_method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BESIDE_THREADS)
    done = run_program([sys.executable, "-W", "error", program, start_method])
    assert (done.returncode, done.stdout, done.stderr) == (0, "15\n", "")


HOOKS = """
import os, sys, time, millpond

counts = dict.fromkeys(("before", "in parent", "audited"), 0)

def count(kind):
    counts[kind] += 1

os.register_at_fork(
    before=lambda: count("before"), after_in_parent=lambda: count("in parent")
)
sys.addaudithook(lambda event, _: event == "os.fork" and count("audited"))

if __name__ == "__main__":
    with millpond.get_context("fork").Pool(4) as pool:
        print(pool.map(abs, range(4), chunksize=1), counts)
        [worker, *_] = pool._pool
        worker.kill()
        worker.join()
        while min(counts.values()) < 2:
            time.sleep(0.01)
    pool.join()
    print(counts)
"""


def test_hooks_of_forks_run_once_for_a_pool(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HOOKS)
    done = run_program([sys.executable, program])
    counts = [str(dict.fromkeys(("before", "in parent", "audited"), n)) for n in (1, 2)]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"[0, 1, 2, 3] {counts[0]}", counts[1]]


PRINTS_BEFORE_FORKS = """
import os
import millpond

forks = 0

def tell():
    global forks
    forks += 1
    print(f"fork {forks}")

if __name__ == "__main__":
    os.register_at_fork(before=tell)
    with millpond.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for number in range(3):
            pool.apply(abs, (number,))
        pool.close()
        pool.join()
    print("end")
"""


def test_what_is_printed_until_the_fork_is_printed_once(tmp_path: Path) -> None:
    """Another thread may print, too, after the streams were flushed first."""
    program = tmp_path / "program.py"
    program.write_text(PRINTS_BEFORE_FORKS)
    done = run_program([sys.executable, program])
    assert done.stderr == ""
    *forks, end = done.stdout.splitlines()
    assert forks and forks == [f"fork {number + 1}" for number in range(len(forks))]
    assert end == "end"
