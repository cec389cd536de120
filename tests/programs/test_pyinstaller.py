"""A program that PyInstaller froze: it is its own interpreter, and starts itself for a child.

The same executable runs on the standard library and on millpond.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from both import need
from support.program import run_program

need("PyInstaller")

PROGRAM = """\
import os
import sys
from concurrent.futures import ProcessPoolExecutor

way = os.environ["IMPL"]
if way == "import":
    import millpond as multiprocessing
    from millpond import ProcessPoolExecutor
else:
    if way == "install":
        import millpond
        millpond.install()
    import multiprocessing


def square(x):
    return x * x


def fill(queue, lock):
    with lock:
        queue.put(multiprocessing.current_process().name)


if __name__ == "__main__":
    multiprocessing.freeze_support()
    print("main", sys.argv[1:], flush=True)
    context = multiprocessing.get_context(os.environ["METHOD"])
    queue, lock = context.Queue(), context.Lock()
    child = context.Process(target=fill, args=(queue, lock), name="child")
    child.start()
    print(queue.get(timeout=30))
    child.join()
    print(child.exitcode, flush=True)
    with context.Pool(2, maxtasksperchild=2) as pool:
        # Workers that the standard library's pool forks later print what is not written by then.
        print(pool.map(square, range(8), 1), flush=True)
        pool.close()
        pool.join()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        print(list(executor.map(square, range(3))))
    with context.Manager() as manager:
        print(manager.list([1]))
    if way != "plain":
        print("millpond.pool" in {kind.__module__ for kind in type(pool).__mro__}, file=sys.stderr)
"""


@pytest.fixture(scope="module", params=["--onedir", "--onefile"])
def frozen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "program.py").write_text(PROGRAM)
    # The classes of shared arrays ask for numpy, which this program has no use for.
    smaller = ["--log-level=ERROR", "--exclude-module=numpy"]
    command = [sys.executable, "-m", "PyInstaller", *smaller, request.param]
    done = run_program([*command, "program.py"], cwd=folder, timeout=150)
    assert done.returncode == 0, done.stderr
    built = folder / "dist" / "program"
    if request.param == "--onefile":
        return built
    assert not (built / "_internal" / "pyarrow").exists(), "a program gets only what it imports"
    return built / "program"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_frozen_program(frozen: Path, method: str, tmp_path: Path) -> None:
    done = {}
    for way in ("plain", "import", "install"):
        environment = os.environ | {"IMPL": way, "METHOD": method}
        environment.pop("PYTHONPATH", None)
        done[way] = run_program([frozen, "argument"], cwd=tmp_path, env=environment)
        assert done[way].returncode == 0, done[way].stderr
        assert done[way].stdout == done["plain"].stdout
        assert done[way].stderr == ("" if way == "plain" else "True\n")
    assert done["plain"].stdout.startswith("main ['argument']\nchild\n0\n[0, 1, 4")
