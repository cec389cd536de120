"""The options of `python -m millpond`, and what it says where it cannot run a program."""

from __future__ import annotations

import os
import subprocess
import sys
from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.program import Completed, run_program

import millpond
from millpond._cli import without_millpond

METHODS = ["fork", "spawn", "forkserver"]
ROOT = os.path.dirname(os.path.dirname(millpond.__file__))


def launch(*arguments: str, env: Mapping[str, str] | None = None) -> Completed:
    return run_program([sys.executable, "-m", "millpond", *arguments], env=env)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frobnicate", "x.py"], "unknown option --frobnicate: see python -m millpond --help"),
        (["-x", "x.py"], "unknown option -x: options of python stand before -m millpond"),
        (["-Im", "x"], "unknown option -Im: options of python stand before -m millpond"),
        (["--start-method"], "--start-method needs an argument: see python -m millpond --help"),
        (
            ["--start-method", "teleport", "x.py"],
            "unknown start method 'teleport': choose one of fork, spawn, forkserver",
        ),
        (
            ["--start-method=", "x.py"],
            "unknown start method '': choose one of fork, spawn, forkserver",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_command_line(arguments: list[str], message: str) -> None:
    done = launch(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"{sys.executable} -m millpond: {message}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    done = launch(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python [python option ...] -m millpond [option ...]")
    assert "--start-method" in done.stdout and "--no-subprocesses" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    version = subprocess.check_output(
        [sys.executable, "-c", "import millpond; print(millpond.__version__)"], text=True
    )
    done = launch(option)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"millpond {version}", "")


SHOW_METHOD = """
import os, sys
print([name for name in sys.modules if name.startswith("multiprocessing")])
print([name for name in os.environ if name.startswith("MILLPOND_START")])
import multiprocessing as m, millpond
print(m.get_start_method(allow_none=True), m.get_start_method(), m.get_context()._name)
print(millpond.get_start_method())
"""


@pytest.mark.parametrize("method", METHODS)
def test_start_method(method: str) -> None:
    expected = f"[]\n[]\nNone {method} {method}\n{method}\n"
    assert launch("--start-method", method, "-c", SHOW_METHOD).stdout == expected
    assert launch(f"--start-method={method}", "-c", SHOW_METHOD).stdout == expected


def test_program_sets_its_own_start_method() -> None:
    code = (
        "import multiprocessing as m; m.set_start_method('forkserver'); print(m.get_start_method())"
    )
    done = launch("--start-method", "spawn", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "forkserver\n", "")


def test_start_method_of_a_program_with_a_multiprocessing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "multiprocessing.py").write_text("print('my own')")
    (tmp_path / "script.py").write_text("import multiprocessing")
    done = launch("--start-method", "spawn", str(tmp_path / "script.py"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "my own\n", "")


ENVIRONMENT = """
import os
print({name: value for name, value in os.environ.items() if "MILLPOND_TEST" not in name})
"""


@pytest.mark.parametrize(
    ("options", "added"), [([], {"MILLPOND_INSTALL": "1"}), (["--no-subprocesses"], {})]
)
def test_environment(options: list[str], added: dict[str, str]) -> None:
    """The program's is that of the launcher, but for one variable."""
    given = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "EMPTY": "", "ODD": "a=\udcff\n"}
    plain = run_program([sys.executable, "-c", ENVIRONMENT], env=given)
    done = launch(*options, "-c", ENVIRONMENT, env=given)
    assert (done.returncode, done.stderr) == (0, "")
    assert literal_eval(done.stdout) == literal_eval(plain.stdout) | added


def test_what_remains_visible() -> None:
    code = "import sys; print((sorted(sys.modules), len(sys.meta_path)))"
    plain = run_program([sys.executable, "-c", code], env=os.environ | {"MILLPOND_INSTALL": ""})
    done = launch("-c", code)
    before, finders = literal_eval(plain.stdout)
    modules, more_finders = literal_eval(done.stdout)
    packages = {name.partition(".")[0] for name in set(modules) - set(before)}
    assert packages - sys.stdlib_module_names == {"millpond"}
    assert "multiprocessing" not in packages
    assert more_finders == finders + 1


def test_millpond_runs_millpond() -> None:
    inner = ["-m", "millpond", "--start-method", "spawn", "-c", SHOW_METHOD]
    done = launch("--start-method", "fork", *inner)
    assert done.stdout == "[]\n[]\nNone spawn spawn\nspawn\n"


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("python -m millpond", "", "python"),
        ("python -m millpond -m millpond", "-m millpond", "python"),
        ("python -mmillpond a b", "a b", "python"),
        ("python -BIm millpond a", "a", "python -BI"),
        ("python -Bmmillpond a", "a", "python -B"),
        ("python -X dev -W error -m millpond a", "a", "python -X dev -W error"),
        ("python -m cProfile -o out -m millpond a", "a", "python -m cProfile -o out"),
        ("/usr/bin/coverage run -m millpond a", "a", "/usr/bin/coverage run"),
    ],
)
def test_the_rest_of_the_command_line(command: str, arguments: str, words: str) -> None:
    assert without_millpond(command.split(), arguments.split()) == words.split()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("python -m millpond a", "b"),
        ("python script.py a", "a"),
        ("python millpond a", "a"),
        ("python -Wm millpond a", "a"),
        ("python -Xm millpond a", "a"),
        ("python -cm millpond a", "a"),
        ("python --m millpond a", "a"),
        ("python -m site-packages/millpond a", "a"),
        ("millpond", ""),
        ("", ""),
        ("", "a"),
    ],
)
def test_another_command_line(command: str, arguments: str) -> None:
    assert without_millpond(command.split(), arguments.split()) is None


def test_directory_of_the_package_as_the_program() -> None:
    directory = os.path.dirname(millpond.__file__)
    done = run_program([sys.executable, directory, "script.py"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "this command line is not one of python [option ...] -m millpond" in done.stderr


# Nothing must run where millpond would not be installed in it.
PROGRAM = ["-m", "millpond", "-c", "print('it runs')"]


def test_interpreter_without_site() -> None:
    done = run_program([sys.executable, "-S", *PROGRAM], env=os.environ | {"PYTHONPATH": ROOT})
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave -S out, or call millpond.install() in the program's first line" in done.stderr


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="millpond is in this interpreter's own")
def test_millpond_that_is_on_the_path_only() -> None:
    python = sys._base_executable  # type: ignore[attr-defined]
    done = run_program([python, *PROGRAM], env=os.environ | {"PYTHONPATH": ROOT})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{python} -m millpond: ")
    assert f"the millpond in {os.path.join(ROOT, 'millpond')}" in done.stderr
    assert "pip install millpond, not with --target" in done.stderr
