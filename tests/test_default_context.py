"""The default start method is the standard library's, which decides when it is first asked."""

from __future__ import annotations

import multiprocessing.util
import sys

import pytest
from support.program import run_program

PROGRAM = """\
import sys
import tempfile

import {package} as package

if {is_writable}:
    assert package.get_start_method(allow_none=True) is None
else:
    tempfile.tempdir = "/proc"
print(package.get_all_start_methods())
print(package.get_start_method(allow_none=True))
print(package.get_context().get_start_method(), package.get_start_method())
"""


@pytest.mark.parametrize("is_writable", [True, False])
def test_it_is_decided_as_in_the_standard_library(is_writable: bool) -> None:
    """Where no temporary directory can be written, recent ones of CPython spawn."""

    def answers(package: str) -> str:
        program = PROGRAM.format(package=package, is_writable=is_writable)
        done = run_program([sys.executable, "-c", program])
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    default = answers("millpond")
    assert default == answers("multiprocessing")
    method = default.split()[-1]
    if sys.version_info < (3, 14):
        assert method == "fork"
    elif is_writable or not hasattr(multiprocessing.util, "_has_writeable_tempdir"):
        assert method == "forkserver"
    else:
        assert method == "spawn"


def test_importing_decides_nothing() -> None:
    program = "import millpond, sys; assert 'tempfile' not in sys.modules"
    done = run_program([sys.executable, "-c", program])
    assert (done.returncode, done.stderr) == (0, "")
