"""joblib's own tests of its pool and of memory-mapped arguments, as they are installed.

Its pool derives from `multiprocessing.pool.Pool`, and brings queues of its own.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from both import need
from support.program import run_program

need("joblib")

PROGRAM = """\
import sys
if sys.argv[1] == "install":
    import millpond
    millpond.install()
import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-rA", "-p", "no:cacheprovider", "--pyargs", *sys.argv[2:]]))
"""
OUTCOMES = ("ERROR ", "FAILED ", "PASSED ", "SKIPPED ", "XFAIL ", "XPASS ")
# The part of the pool: the tests of other back ends take minutes. Without what asserts times, and
# without the slowest.
SELECTION = (
    "multiprocessing and not (windows or timeout or statistics or blas or warnings or interactively"
    " or unpicklable)"
)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("module", ["test_memmapping", "test_parallel"])
def test_own_tests(module: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    outcomes = {}
    for way in ("plain", "install"):
        arguments = [way, f"joblib.test.{module}", "-k", SELECTION]
        environment = {name: os.environ[name] for name in os.environ if name[:6] != "PYTEST"}
        done = run_program(
            [sys.executable, "program.py", *arguments], cwd=tmp_path, env=environment, timeout=110
        )
        lines = done.stdout.splitlines()
        # What joblib expects to fail does so now and then.
        lines = [re.sub("^(XPASS|XFAIL) (.*) - .*", r"XFAIL \2", line) for line in lines]
        outcomes[way] = sorted(line for line in lines if line.startswith(OUTCOMES))
        assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes["install"] == outcomes["plain"]
    assert sum(line.startswith("PASSED") for line in outcomes["plain"]) > 10
