"""The files by which an interpreter installs millpond when it starts, if it is asked to."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest
from support.program import run_program

SITE_PACKAGES = sysconfig.get_path("purelib")
ENTRY = "millpond_install"

LOADED = f"import sys; sys.path.append({SITE_PACKAGES!r}); import os; before = set(sys.modules)\n"


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process, with no word on millpond but these."""
    ours = ("MILLPOND_INSTALL", "MILLPOND_START_METHOD")
    return {name: os.environ[name] for name in os.environ if name not in ours} | variables


@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_entry_imports_nothing_unless_asked(value: str | None) -> None:
    """Nor does it have what costs: one function, and no module besides `os`."""
    code = (
        f"{LOADED}import {ENTRY}; {ENTRY}.start()\n"
        "print(sorted(set(sys.modules) - before))\n"
        f"print(sorted(name for name in vars({ENTRY}) if not name.startswith('_')))\n"
    )
    variables = {} if value is None else {"MILLPOND_INSTALL": value}
    done = run_program([sys.executable, "-I", "-S", "-c", code], env=environment(**variables))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"['{ENTRY}']\n['os', 'start']\n"


def test_each_interpreter_finds_one_entry() -> None:
    """A newer Python takes the `.start` file, and leaves out the `.pth` file of the same name."""
    folder = Path(SITE_PACKAGES)
    assert (folder / f"{ENTRY}.pth").read_text() == f"import {ENTRY}; {ENTRY}.start()\n"
    assert (folder / f"{ENTRY}.start").read_text() == f"{ENTRY}:start\n"
    code = "import sys; print([name for name in sys.modules if 'millpond' in name])"
    done = run_program([sys.executable, "-c", code], env=environment())
    assert (done.stdout, done.stderr) == (f"['{ENTRY}']\n", "")


COUNT = """
import sys
sys.path.append({folder!r})
import {entry}
start, runs = {entry}.start, []
def counted():
    runs.append(sys._getframe(1).f_code.co_filename)
    start()
{entry}.start = counted
import site
site.main()
print(len(set(runs)), {entry!r} in sys.modules)
"""


def test_one_of_both_files_runs() -> None:
    code = COUNT.format(folder=SITE_PACKAGES, entry=ENTRY)
    done = run_program([sys.executable, "-S", "-c", code], env=environment())
    assert (done.stdout, done.stderr) == ("1 True\n", "")


TWICE = """
import os, sys, millpond, millpond_install
finders = list(sys.meta_path)
millpond_install.start()
print(finders == sys.meta_path, millpond.is_installed(), os.environ.get("MILLPOND_INSTALL"))
import multiprocessing
print(multiprocessing.get_start_method())
"""


@pytest.mark.parametrize(("value", "left"), [("1", "1"), ("once", None)])
def test_a_second_run_changes_nothing(value: str, left: str | None) -> None:
    """Older interpreters read the files of a virtual environment twice."""
    variables = {"MILLPOND_INSTALL": value, "MILLPOND_START_METHOD": "spawn"}
    done = run_program([sys.executable, "-c", TWICE], env=environment(**variables))
    assert (done.stdout, done.stderr) == (f"True True {left}\nspawn\n", "")


def test_multiprocessing_that_was_imported_before() -> None:
    code = (
        f"{LOADED}import multiprocessing, {ENTRY}; {ENTRY}.start()\n"
        "print(multiprocessing.get_start_method(allow_none=True))\n"
        "print(multiprocessing.get_start_method())\n"
    )
    variables = {"MILLPOND_INSTALL": "1", "MILLPOND_START_METHOD": "spawn"}
    done = run_program([sys.executable, "-S", "-c", code], env=environment(**variables))
    assert (done.stdout, done.stderr) == ("None\nspawn\n", "")
