"""Sub-interpreters: the engine works in one interpreter of a process, and says so in others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import Completed, run_program

PRELUDE = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

def run(source, isolated=True):
    if sys.version_info >= (3, 13):
        one = interpreters.create("isolated" if isolated else "legacy")
        failed = interpreters.run_string(one, source)
        assert failed is None, failed.errdisplay
    else:
        one = interpreters.create(isolated=isolated)
        interpreters.run_string(one, source)
    interpreters.destroy(one)

USE = '''
import sys, millpond
try:
    queue = millpond.Queue()
    queue.put([{1: 2}])
    print(queue.get(), millpond.cpu_count() > 0)
except ImportError as error:
    print(type(error).__name__, "reinstall" in str(error), "in this interpreter" in str(error))
sys.stdout.flush()
'''
"""

REFUSED = "NotInThisInterpreter False True"
WORKS = "[{1: 2}] True"


def run(program: str) -> Completed:
    done = run_program([sys.executable, "-c", PRELUDE + program])
    assert (done.returncode, done.stderr) == (0, "")
    return done


def test_an_isolated_one() -> None:
    # Until Python 3.12 any of them loads any extension module.
    works_there = sys.version_info < (3, 12)
    assert run("run(USE)").stdout.splitlines() == [WORKS if works_there else REFUSED]


def test_one_that_shares_the_gil() -> None:
    assert run("run(USE, isolated=False)").stdout.splitlines() == [WORKS]


@pytest.mark.parametrize("isolated", [True, False])
def test_one_beside_a_main_interpreter_that_uses_it(isolated: bool) -> None:
    done = run(f"exec(USE); run(USE, {isolated}); run(USE, {isolated}); exec(USE)")
    assert done.stdout.splitlines() == [WORKS, REFUSED, REFUSED, WORKS]


def test_a_main_interpreter_beside_one_that_used_it() -> None:
    assert run("run(USE, isolated=False); exec(USE)").stdout.splitlines() == [WORKS, REFUSED]


@pytest.mark.parametrize("isolated", [True, False])
def test_installed_it_leaves_multiprocessing_as_it_is(isolated: bool) -> None:
    source = """
import millpond
millpond.install()
import multiprocessing
from multiprocessing import connection, queues, synchronize
lock, queue = multiprocessing.Lock(), multiprocessing.SimpleQueue()
reader, writer = multiprocessing.Pipe()
queue.put(1)
connection.wait([queue._reader])
print(queue.get(), lock.acquire(), writer.send(2), reader.recv())
print(isinstance(lock._semlock, synchronize._multiprocessing.SemLock))
print(type(reader).__module__, type(queue).__mro__[1].__name__)
queue.close()
import sys
sys.stdout.flush()
"""
    done = run(f"exec(USE); run({source!r}, {isolated})")
    assert done.stdout.splitlines() == [
        WORKS,
        "1 True None 2",
        "True",
        "multiprocessing.connection object",
    ]


IN_A_POOL = """
from concurrent.futures import InterpreterPoolExecutor

import millpond


def use():
    import millpond

    before = millpond.is_installed()
    millpond.install()
    from multiprocessing import get_context
    from multiprocessing.pool import Pool
    from multiprocessing.queues import SimpleQueue

    # Others need a thread, which such an interpreter may not have.
    queue = SimpleQueue(ctx=get_context("spawn"))
    queue.put("item")
    found = [before, millpond.is_installed(), Pool.__mro__[1:], SimpleQueue.__mro__[1:]]
    found.append(queue.get())
    queue.close()
    try:
        millpond.Lock()
    except ImportError as error:
        found.append(str(error).partition(" (")[0])
    return str(found)


if __name__ == "__main__":
    millpond.install()
    from multiprocessing.pool import Pool

    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(use).result())
        print(executor.submit(use).result())
    print(millpond.is_installed(), issubclass(Pool, millpond.pool.Pool))
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython 3.14 has this executor")
def test_those_of_an_executor(tmp_path: Path) -> None:
    """Nothing is installed there, and what `install` did here stays."""
    program = tmp_path / "program.py"
    program.write_text(IN_A_POOL)
    done = run_program([sys.executable, program])
    object_alone = "(<class 'object'>,)"
    found = (
        f"[False, False, {object_alone}, {object_alone}, 'item', "
        "'millpond does not work in this interpreter of the process']"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [found, found, "True True"]
