"""Pools in the tasks of a pool end with their worker, however that ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import run_program

PROGRAM = """\
import os, select, signal, sys, time
import millpond


class PlainProcess(millpond.get_context(sys.argv[1]).Process):
    daemon = property(lambda self: False, lambda self, value: None)


class PlainContext(type(millpond.get_context(sys.argv[1]))):
    Process = PlainProcess


def stays(path):
    pool = millpond.get_context("fork").Pool(1)
    with open(path + ".part", "w") as file:
        file.write(str(pool.apply(os.getpid)))
    os.rename(path + ".part", path)
    pool.apply(time.sleep, (1000,))


def daemon(n):
    with millpond.get_context("fork").Pool(1) as pool:
        return millpond.current_process().daemon, pool.map(abs, range(n))


if __name__ == "__main__":
    pool = PlainContext().Pool(1)
    result = pool.apply_async(stays, ("inner",))
    while not os.path.exists("inner"):
        time.sleep(0.01)
    with open("inner") as file:
        inner = os.pidfd_open(int(file.read()))
    assert not select.select([inner], [], [], 0)[0]
    if sys.argv[2] == "terminate":
        pool.terminate()
    elif sys.argv[2] == "kill":
        pool._pool[0].kill()
        try:
            result.get()
        except millpond.WorkerCrashed:
            pool.terminate()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    pool.join()
    select.select([inner], [], [])
    with millpond.Pool(1) as pool:
        print(pool.apply(daemon, (2,)))
"""


@pytest.mark.parametrize("end", ["terminate", "kill", "owner"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_inner_pool_ends_with_its_worker(method: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_program([sys.executable, "program.py", method, end], cwd=tmp_path)
    if end == "owner":
        assert (done.returncode, done.stderr) == (-9, "")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "(True, [0, 1])\n", "")
