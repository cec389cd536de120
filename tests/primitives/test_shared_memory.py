"""`SharedMemory` is the standard library's, in processes that millpond forks, too.

What it does there is compared in `tests/differential/cases/07_shared_memory_of_children.py`; here
is what plain Python does not do as well, and what newer releases of it need.
"""

from __future__ import annotations

import multiprocessing.shared_memory
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.program import run_program

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def test_it_is_the_standard_library_s() -> None:
    assert millpond.shared_memory is multiprocessing.shared_memory


# Its main process has no resource tracker before the pool is made.
BLOCKS_OF_WORKERS = """
import sys
import millpond
from millpond.shared_memory import ShareableList, SharedMemory

def make(text):
    block = SharedMemory(create=True, size=100)
    block.buf[:5] = text
    block.close()
    return block.name, ShareableList([text])

def peek(name):
    block = SharedMemory(name)
    text = bytes(block.buf[:5])
    block.close()
    return text

def run(function, items):
    with {pool} as pool:
        return list(pool.map(function, items))

if __name__ == "__main__":
    context = millpond.get_context(sys.argv[1])
    made = run(make, [b"first", b"other"])
    names = [name for name, _ in made]
    # A worker that had a tracker of its own would take the blocks with it.
    print(run(peek, names), run(peek, names))
    for name, values in made:
        block = SharedMemory(name)
        print(bytes(block.buf[:5]), list(values))
        for each in (block, values.shm):
            each.close()
            each.unlink()
"""
PRINTED = """\
[b'first', b'other'] [b'first', b'other']
b'first' [b'first']
b'other' [b'other']
"""
POOLS = {
    "pool": "context.Pool(2)",
    "replaced workers": "context.Pool(1, maxtasksperchild=1)",
    "executor": "millpond.ProcessPoolExecutor(2, mp_context=context)",
}

# What CPython does since gh-146313, for releases from before it.
CLOSES_TRACKER = """
import os, threading
from multiprocessing import resource_tracker as module

if not hasattr(module, "_fork_intent"):
    module._fork_intent = threading.local()

    def close():
        tracker = module._resource_tracker
        if tracker._fd is not None and not getattr(module._fork_intent, "preserve_fd", False):
            os.close(tracker._fd)
            tracker._fd = None

    os.register_at_fork(after_in_child=close)
"""


@pytest.mark.parametrize("closes_tracker", [False, True])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("method", METHODS)
def test_blocks_outlive_their_workers(
    method: str, pool: str, closes_tracker: bool, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKS_OF_WORKERS.format(pool=POOLS[pool]))
    if closes_tracker:
        (tmp_path / "sitecustomize.py").write_text(CLOSES_TRACKER)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = run_program([sys.executable, program, method], env=environment)
    assert (done.stdout, done.stderr) == (PRINTED, "")


HAS_TRACKER = """
import sys
import millpond
{before}
from multiprocessing import resource_tracker

with millpond.get_context("fork").Pool(1) as pool:
    print(pool.map(abs, [-1]), resource_tracker._resource_tracker._fd is not None)
"""


@pytest.mark.parametrize(
    ("before", "has"),
    [
        ("", False),
        ("import multiprocessing.shared_memory", True),
        ("import multiprocessing.managers", True),
        ("import multiprocessing.shared_memory; sys.frozen = True", False),
    ],
)
def test_only_programs_with_shared_memory_pay_for_the_tracker(before: str, has: bool) -> None:
    done = run_program([sys.executable, "-c", HAS_TRACKER.format(before=before)])
    assert (done.stdout, done.stderr) == (f"[1] {has}\n", "")


LEFT_OPEN = """
import sys
import millpond
from millpond.shared_memory import SharedMemory

def make(_):
    block = SharedMemory(create=True, size=100)
    block.close()
    return block.name

if __name__ == "__main__":
    pool = millpond.get_context(sys.argv[1]).Pool(2)
    print(*pool.map(make, range(2)))
"""


@pytest.mark.parametrize("method", METHODS)
def test_what_nobody_unlinks_goes_with_the_program_and_a_warning(
    method: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(LEFT_OPEN)
    done = run_program([sys.executable, program, method])
    assert done.returncode == 0
    assert "2 leaked shared_memory objects" in done.stderr
    names = done.stdout.split()
    assert len(names) == 2 and not set(names) & set(os.listdir("/dev/shm"))


def fill(size: int) -> Any:
    array = millpond.RawArray("B", size)
    memoryview(array).cast("B")[:5] = b"hello"
    return array


def peek_and_change(array: object) -> bytes:
    view = memoryview(array).cast("B")  # type: ignore[arg-type]
    seen = bytes(view[:5])
    view[:1] = b"j"
    return seen


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_memory_without_a_name_is_a_raw_array(method: str, size: int) -> None:
    context = millpond.get_context(method)
    with context.Pool(1) as pool:
        array = pool.apply(fill, (size,))
    with context.Pool(1) as pool:
        assert pool.apply(peek_and_change, (array,)) == b"hello"
    assert bytes(memoryview(array).cast("B")[:5]) == b"jello"
    assert len(array) == size
