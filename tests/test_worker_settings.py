"""What workers set themselves up with: environment, directory, niceness, threads, an end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.program import run_program

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def seen(name: str) -> tuple[str | None, str, int]:
    return os.environ.get(name), os.getcwd(), os.getpriority(os.PRIO_PROCESS, 0)


def append(path: str, word: str) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(word.encode() + b"\n")


class Note:
    """Adds a word to a file."""

    def __init__(self, path: Path, word: str) -> None:
        self.path, self.word = str(path), word

    def __call__(self) -> None:
        append(self.path, self.word)


def fail() -> None:
    raise LookupError("no such thing")


@pytest.mark.parametrize("method", METHODS)
def test_environment_directory_and_niceness(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLPOND_TEST_GONE", "there")
    options: dict[str, Any] = {
        "env": {"MILLPOND_TEST": "set", "MILLPOND_TEST_GONE": None},
        "cwd": tmp_path,
        "niceness": 2,
    }
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + 2, 19)
    context = millpond.get_context(method)
    with context.Pool(2, **options) as pool:
        assert pool.apply(seen, ("MILLPOND_TEST",)) == ("set", str(tmp_path), nice)
        assert pool.apply(seen, ("MILLPOND_TEST_GONE",))[0] is None
        # Those that take others' places too.
        pool._pool[0].kill()
        pool.resize(4)
        assert set(pool.map(seen, ["MILLPOND_TEST"] * 40, 1)) == {("set", str(tmp_path), nice)}
    with millpond.ProcessPoolExecutor(1, context, **options) as executor:
        assert executor.submit(seen, "MILLPOND_TEST").result() == ("set", str(tmp_path), nice)
    assert os.environ["MILLPOND_TEST_GONE"] == "there"
    assert "MILLPOND_TEST" not in os.environ
    assert os.getcwd() != str(tmp_path)


PROGRAM = """\
import os
at_import = os.environ.get("MILLPOND_TEST"), os.environ.get("OMP_NUM_THREADS")
import millpond

def seen(_):
    return at_import

if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        context = millpond.get_context(method)
        for value in ("one", "two"):
            with context.Pool(1, env={"MILLPOND_TEST": value}, blas_threads=3) as pool:
                print(method, pool.apply(seen, (0,)))
    with context.Pool(1, env={"OMP_NUM_THREADS": "7"}, blas_threads=3) as pool:
        print(pool.apply(seen, (0,)))
"""


def test_the_environment_is_there_before_the_program_is_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_program([sys.executable, program])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "spawn ('one', '3')",
        "spawn ('two', '3')",
        "forkserver ('one', '3')",
        "forkserver ('two', '3')",
        "(None, '7')",
    ]


def threads(_: int) -> tuple[list[int], str | None]:
    import threadpoolctl

    loaded = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    return sorted(loaded), os.environ.get("OPENBLAS_NUM_THREADS")


def test_libraries_that_are_loaded_have_the_budget_too() -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy.ones(2) @ numpy.ones(2) == 2
    with millpond.Pool(1, blas_threads=1) as pool:
        loaded, variable = pool.apply(threads, (0,))
        assert (loaded in ([], [1]), variable) == (True, "1")


def test_the_budget_is_this_process_s_cpus_divided_by_the_workers() -> None:
    cpus = millpond.cpu_count()
    for workers in (1, cpus, 4 * cpus):
        with millpond.Pool(workers, blas_threads="auto") as pool:
            budget = int(pool.apply(os.getenv, ("OMP_NUM_THREADS",)) or 0)
            assert budget == max(cpus // workers, 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", ["close", "terminate"])
def test_the_finalizer_is_called_in_each_worker_that_ends(
    method: str, end: str, tmp_path: Path
) -> None:
    path = tmp_path / "noted"
    pool = millpond.get_context(method).Pool(2, finalizer=Note(path, "end"))
    assert pool.map(abs, range(10), chunksize=1) == list(range(10))
    pool._engine.wait_started()
    pool.resize(1)
    pool.resize(2)
    pool._engine.wait_started()
    getattr(pool, end)()
    pool.join()
    count = len(path.read_text().split())
    assert count == 3 if end == "close" else 1 <= count <= 3


def test_the_finalizer_is_called_after_the_last_task_of_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "noted"
    with millpond.ProcessPoolExecutor(
        1, millpond.get_context("fork"), max_tasks_per_child=2, finalizer=Note(path, "end")
    ) as executor:
        for number in range(4):
            executor.submit(append, str(path), str(number)).result()
    # A worker that came for a fifth task found that there was none.
    assert path.read_text().split()[:6] == ["0", "1", "end", "2", "3", "end"]


def test_what_a_finalizer_raises_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with millpond.Pool(1, finalizer=fail) as pool:
        assert pool.apply(abs, (-1,)) == 1
        pool.close()
        pool.join()
    assert "LookupError: no such thing" in capfd.readouterr().err


def test_a_finalizer_may_be_local(tmp_path: Path) -> None:
    path = str(tmp_path / "noted")
    with millpond.get_context("spawn").Pool(1, finalizer=lambda: append(path, "end")) as pool:
        assert pool.apply(abs, (-1,)) == 1
        pool.close()
        pool.join()
    assert Path(path).read_text() == "end\n"


def test_a_directory_that_is_not_there_breaks_the_pool(tmp_path: Path) -> None:
    pool = millpond.Pool(1, cwd=tmp_path / "nowhere")
    with pool, pytest.raises(millpond.BrokenPool, match="FileNotFoundError"):
        pool.apply(abs, (-1,))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"env": {"A": 1}}, TypeError, "env must have names and strings"),
        ({"env": {"A=B": "1"}}, ValueError, "env must have names"),
        ({"env": {"A": "\0"}}, ValueError, "env must have names"),
        ({"cwd": 1}, TypeError, "cwd must be a path"),
        ({"niceness": "1"}, TypeError, "niceness must be an int"),
        ({"finalizer": 1}, TypeError, "finalizer must be a callable"),
        ({"blas_threads": 0}, ValueError, "blas_threads must be at least 1"),
        ({"blas_threads": "all"}, TypeError, "blas_threads must be an int, 'auto'"),
    ],
)
def test_wrong_values_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    for make in (millpond.Pool, millpond.ProcessPoolExecutor):
        with pytest.raises(error, match=text):
            make(1, **options)
