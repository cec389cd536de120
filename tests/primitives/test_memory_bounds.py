"""Shared memory is not bounded by `/dev/shm`, and goes back when it is not used any more."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.processes import wait_until
from support.program import run_program
from support.small_shm import needs_small_shm, with_small_shm

import millpond

SIZE = 16 << 20

UNDER_A_SMALL_SHM = f"""\
import os, sys
import millpond

SIZE = {SIZE}

def last(array):
    return array[-1]

def fill(value, array, numbers):
    array[:] = b"x" * SIZE
    numbers += 1
    value.add(1)

if __name__ == "__main__":
    shm = os.statvfs("/dev/shm")
    assert shm.f_blocks * shm.f_frsize <= 64 << 10
    context = millpond.get_context(sys.argv[1])
    value = context.Value("i")
    array = context.Array("c", SIZE, lock=False)
    numbers = millpond.shared_array(SIZE // 8)
    process = context.Process(target=fill, args=(value, array, numbers))
    process.start()
    process.join()
    print(process.exitcode, value.value, array[-1], numbers.sum())
"""


@needs_small_shm
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_dev_shm_does_not_bound_it(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(UNDER_A_SMALL_SHM)
    done = run_program(with_small_shm([sys.executable, program, method]))
    assert (done.stdout, done.stderr) == (f"0 1 b'x' {float(SIZE // 8)}\n", "")


def resident() -> int:
    """What this process has in memory, shared memory included, in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def make_values() -> object:
    return [millpond.Value("d", lock=False) for _ in range(200)]


def make_arrays() -> object:
    arrays = [millpond.RawArray("b", size) for size in (300, 5000, 40_000, 1 << 20)]
    for array in arrays:
        ctypes.memset(array, 1, len(array))
    return arrays


def make_shared_array() -> object:
    return millpond.shared_array((1 << 20) // 8, fill=1.5)


MAKERS = [make_values, make_arrays, make_shared_array]


@pytest.mark.parametrize("make", MAKERS)
def test_memory_goes_back(make: Callable[[], object]) -> None:
    for _ in range(20):
        make()
    gc.collect()
    before, open_before = resident(), descriptors()
    for _ in range(200):
        made = make()
        del made
    gc.collect()
    assert descriptors() == open_before
    # 200 times the least of them would be more than that.
    assert resident() - before < 8 << 20


def work_on(array: Any) -> Any:
    array += 1
    return millpond.shared_array(1 << 17, fill=array[0])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_memory_that_was_passed_goes_back(method: str) -> None:
    with millpond.get_context(method).Pool(2) as pool:
        worker_pids = {worker.pid for worker in pool._pool}

        def open_in_workers() -> int:
            return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in worker_pids)

        def rounds(count: int) -> None:
            for _ in range(count):
                arrays = [millpond.shared_array(1 << 17) for _ in range(2)]
                for result in pool.map(work_on, arrays, 1):
                    assert result[-1] == 1
                del result, arrays

        rounds(5)
        before, open_before, in_workers = resident(), descriptors(), open_in_workers()
        rounds(60)
        gc.collect()
        # A worker keeps what it sent until it makes or drops the next.
        assert open_in_workers() <= in_workers + 4
        assert descriptors() <= open_before + 2
        assert resident() - before < 16 << 20


def in_results() -> int:
    """Return how many bytes of pages the links to workers have, their large results included."""
    total = 0
    for entry in os.scandir("/proc/self/fd"):
        try:
            if "memfd:millpond-link" in os.readlink(entry.path):
                total += os.stat(entry.path).st_blocks * 512
        except FileNotFoundError:
            continue
    return total


@pytest.mark.parametrize("next_task", [None, abs])
def test_a_worker_gives_back_the_memory_of_large_results(next_task: Any) -> None:
    with millpond.Pool(1) as pool:
        results = pool.map(bytes, [800_000] * 150, chunksize=1)
        assert in_results() > 100 << 20
        del results
        if next_task is None:
            # Idle from now on.
            assert wait_until(lambda: in_results() < 80 << 20, 50)
        else:
            # Busy with small results: what it looks at, and finds, lets it look further.
            assert pool.map(next_task, [-1] * 300, chunksize=1) == [1] * 300
            assert wait_until(lambda: in_results() < 80 << 20, 50)
