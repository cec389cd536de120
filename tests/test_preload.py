"""What a pool's zygote imports before it forks, under forkserver: `set_forkserver_preload`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import Completed, run_program

PROGRAM = """\
import sys

import millpond

sys.path.insert(0, {folder!r})
sys.argv.append("of the program")


def seen(name):
    module = sys.modules.get(name)
    return module and (module.argv, module.inherited)


if __name__ == "__main__":
    context = millpond.get_context("forkserver")
    context.set_forkserver_preload({modules!r}, **{options!r})
    with context.Pool(2) as pool:
        for answer in pool.map(seen, ["preloaded"] * 4, 1):
            print(answer)
"""

MODULE = """\
import os, sys

argv = sys.argv[1:]
pid = os.getpid()
os.register_at_fork(after_in_child=lambda: globals().update(inherited=True))
sys.stdout.write("imported ")
"""

needs_choice = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="set_forkserver_preload has no on_error before 3.15"
)


def run(folder: Path, modules: list[str], **options: str) -> Completed:
    (folder / "preloaded.py").write_text(MODULE)
    (folder / "lacks.py").write_text("import of_no_such_name\n")
    program = folder / "program.py"
    program.write_text(PROGRAM.format(folder=str(folder), modules=modules, options=options))
    return run_program([sys.executable, "-W", "always::ImportWarning", program])


LINES = "imported " + "(['of the program'], True)\n" * 4


def test_modules_see_the_program_s_path_and_arguments_and_print_once(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = run(folder, ["preloaded"])
    assert (done.returncode, done.stdout, done.stderr) == (0, LINES, "")


def test_a_module_that_cannot_be_imported_is_passed_over(tmp_path: Path) -> None:
    done = run(tmp_path, ["lacks", "preloaded"])
    assert (done.returncode, done.stdout, done.stderr) == (0, LINES, "")


@needs_choice
def test_a_module_that_cannot_be_imported_is_warned_of(tmp_path: Path) -> None:
    done = run(tmp_path, ["lacks", "preloaded"], on_error="warn")
    assert (done.returncode, done.stdout) == (0, LINES)
    assert "ImportWarning: Failed to preload module 'lacks': No module named" in done.stderr


@needs_choice
def test_a_module_that_cannot_be_imported_breaks_the_pool(tmp_path: Path) -> None:
    done = run(tmp_path, ["lacks", "preloaded"], on_error="fail")
    assert (done.returncode, done.stdout) == (1, "")
    assert "BrokenPool" in done.stderr
    assert "ModuleNotFoundError: No module named 'of_no_such_name'" in done.stderr
