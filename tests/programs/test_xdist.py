"""`pytest -n 2`: the tests run in two processes, and use `multiprocessing` there."""

from __future__ import annotations

from pathlib import Path

import pytest
from both import SAY_WHOSE, need, run_both

need("xdist")

TESTS = f"""\
import multiprocessing
import pytest

{SAY_WHOSE}

def square(x):
    return x * x

@pytest.mark.parametrize(("number", "method"), [(1, "fork"), (2, "fork"), (3, "spawn")])
def test_pool(method, number):
    say_whose()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(square, range(number)) == [x * x for x in range(number)]

def test_that_fails():
    with multiprocessing.Pool(1) as pool:
        assert pool.apply(square, (3,)) == 10
"""


@pytest.mark.slow
def test_xdist(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "test_parallel.py").write_text(TESTS)
        (folder / "pytest.ini").touch()

    options = ["-q", "-n", "2", "--tb=line", "-p", "no:cacheprovider", "--color=no"]
    both = run_both(tmp_path, make, ["-m", "pytest", *options], unsteady=r"[.F]{4,}|\bgw\d")
    assert both.returncode == 1
    assert "1 failed, 3 passed" in both.stdout
