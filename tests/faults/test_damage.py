"""Processes that write random bytes, ones, zeros and holes into the memory that they share.

`MILLPOND_DAMAGE_SEEDS` says how many damages of each kind are done; `cargo xtask damage` does more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from damage.__main__ import cases

SEEDS = int(os.environ.get("MILLPOND_DAMAGE_SEEDS", "12"))


@pytest.mark.timeout(120 + SEEDS)
@pytest.mark.parametrize("kind", cases())
def test_others_outlive_what_a_process_writes(kind: str) -> None:
    # In a program of its own: the tests' may have threads, and cases are forked.
    command = [sys.executable, "-m", "damage", "--seeds", str(SEEDS), "--only", kind, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["cases"] == SEEDS
    # That nothing came of any call would say that nothing was tried.
    assert outcome["calls"].get("result") or outcome["calls"].get("right")


def environment() -> dict[str, str]:
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return {**os.environ, "PYTHONPATH": tests}
