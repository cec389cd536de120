"""A short run of the chaos: tests/chaos/ tells what it checks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.program import Completed, run_program

TESTS = Path(__file__).resolve().parent.parent


def run_chaos(module: str, *arguments: str) -> Completed:
    return run_program(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        timeout=200,
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1])
def test_nothing_hangs_is_lost_or_left_whoever_is_killed(seed: int) -> None:
    done = run_chaos("chaos", "--kills", "300", "--seed", str(seed))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 hangs, 0 lost, 0 doubled, 0 leaked, 0 faults" in done.stdout


@pytest.mark.timeout(240)
def test_memory_that_is_not_used_any_more_goes_back() -> None:
    done = run_chaos("chaos.soak", "--seconds", "3")
    assert done.returncode == 0, done.stdout + done.stderr
