"""What can stand after `python -m millpond`, and what it says about a command line it refuses."""

from __future__ import annotations

import py_compile
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.program import Completed, run_program

SHOW = """\
import sys
hidden = ("__builtins__", "__loader__", "__spec__", "hidden", "sys")
print({name: value for name, value in globals().items() if name not in hidden})
print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent), sys.argv, sys.path)
"""
FAIL = "def f():\n    raise LookupError('nothing here')\nf()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs of every kind."""
    for name in ("show", "directory/__main__", "package/__main__", "package/show", "other/real"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SHOW)
    (tmp_path / "fail.py").write_text(FAIL)
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "fail.py").write_text(FAIL)
    (tmp_path / "failing").mkdir()
    (tmp_path / "failing" / "__main__.py").write_text(FAIL)
    (tmp_path / "no_main").mkdir()
    (tmp_path / "link.py").symlink_to("other/real.py")
    py_compile.compile(str(tmp_path / "show.py"), str(tmp_path / "compiled.pyc"))
    py_compile.compile(str(tmp_path / "show.py"), str(tmp_path / "compiled_without_a_suffix"))
    (tmp_path / "stale.pyc").write_bytes(b"old!" + bytes(12))
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    content = (tmp_path / "archive.zip").read_bytes()
    (tmp_path / "executable").write_bytes(b"#!/usr/bin/env python3\n" + content)
    return tmp_path


def millpond(*arguments: str, cwd: Path | None = None, input: str | None = None) -> Completed:
    return run_program([sys.executable, "-m", "millpond", *arguments], cwd=cwd, input=input)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show.py", "-x", "--help", "-m"],
        ["./show.py"],
        ["other/../show.py"],
        ["link.py"],
        ["other/real.py"],
        ["compiled.pyc"],
        ["compiled_without_a_suffix"],
        ["stale.pyc"],
        ["directory", "a"],
        ["directory/"],
        ["failing"],
        ["no_main"],
        ["archive.zip", "a"],
        ["executable", "a"],
        ["-m", "show", "-m", "x"],
        ["-mshow"],
        ["-m", "package", "a"],
        ["-m", "package.show"],
        ["-m", "package.fail"],
        ["-m", "fail"],
        ["-m", "no_such_module"],
        ["-m", "no_such_package.module"],
        ["-m", "no_main"],
        ["-m", "show.py"],
        ["-m", "unittest", "no_such_test", "-q"],
        ["-c", SHOW, "a", "-c"],
        ["-cprint(1)"],
        ["-c", FAIL],
        ["-c", "x = = 1"],
        ["-c", "import sys; sys.exit('stop')"],
        ["-c", "raise KeyboardInterrupt"],
        ["-", "a", "-"],
    ],
    ids=" ".join,
)
def test_as_plain_python(arguments: list[str], folder: Path) -> None:
    def run(*prefix: str) -> tuple[int, str, str]:
        done = run_program([sys.executable, *prefix, *arguments], cwd=folder, input=SHOW)
        # unittest says how long it took.
        return done.returncode, done.stdout, re.sub(r"in [\d.]+s", "in no time", done.stderr)

    assert run("-m", "millpond") == run()


def test_absolute_path(folder: Path) -> None:
    script = str(folder / "show.py")
    plain = run_program([sys.executable, script])
    assert millpond(script).stdout == plain.stdout


def test_failing_code_on_standard_input(folder: Path) -> None:
    plain = run_program([sys.executable, "-"], cwd=folder, input=FAIL)
    done = millpond("-", cwd=folder, input=FAIL)
    assert (done.returncode, done.stderr) == (1, plain.stderr)


@pytest.mark.parametrize("code", [FAIL, "x = = 1", "print(__file__)"])
def test_script_in_a_pipe(code: str, folder: Path) -> None:
    def run(command: str) -> tuple[int, str, str]:
        done = run_program(["sh", "-c", f"cat | {sys.executable} {command} /dev/stdin"], input=code)
        return done.returncode, done.stdout, done.stderr

    assert run("-m millpond") == run("")


def test_debugger(folder: Path) -> None:
    arguments = ["-m", "pdb", "fail.py", "a"]
    commands = "break 2\ncontinue\nwhere\ncontinue\nquit\n"
    plain = run_program([sys.executable, *arguments], cwd=folder, input=commands)
    done = millpond(*arguments, cwd=folder, input=commands)
    assert "fail.py(2)f()" in plain.stdout
    assert (done.returncode, done.stdout, done.stderr) == (
        plain.returncode,
        plain.stdout,
        plain.stderr,
    )


def test_two_dashes_end_the_options(folder: Path) -> None:
    assert millpond("--", "show.py", cwd=folder).stdout == millpond("show.py", cwd=folder).stdout


def test_script_that_does_not_exist(tmp_path: Path) -> None:
    plain = run_program([sys.executable, "no/such.py"], cwd=tmp_path)
    done = millpond("no/such.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == plain.stderr.replace(": can't", " -m millpond: can't")
    assert f"can't open file '{tmp_path}/no/such.py': [Errno 2] No such file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no program to run: see python -m millpond --help"),
        (["--"], "-- needs an argument: see python -m millpond --help"),
        (["-m"], "-m needs an argument: see python -m millpond --help"),
        (["-c"], "-c needs an argument: see python -m millpond --help"),
        (["--frobnicate", "x.py"], "unknown option --frobnicate: see python -m millpond --help"),
        (["-x", "x.py"], "unknown option -x: see python -m millpond --help"),
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
    done = millpond(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"{sys.executable} -m millpond: {message}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    done = millpond(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m millpond [option ...]")
    assert "--start-method" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    done = millpond(option)
    version = subprocess.check_output(
        [sys.executable, "-c", "import millpond; print(millpond.__version__)"], text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"millpond {version}", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_method(method: str) -> None:
    code = (
        "import multiprocessing as m, millpond;"
        "print(m.get_start_method(allow_none=True), m.get_start_method(), m.get_context()._name,"
        " millpond.get_start_method())"
    )
    expected = f"None {method} {method} {method}\n"
    assert millpond("--start-method", method, "-c", code).stdout == expected
    assert millpond(f"--start-method={method}", "-c", code).stdout == expected


def test_program_sets_its_own_start_method() -> None:
    code = (
        "import multiprocessing as m; m.set_start_method('forkserver'); print(m.get_start_method())"
    )
    done = millpond("--start-method", "spawn", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "forkserver\n", "")


def test_under_a_profiler(folder: Path) -> None:
    report = folder / "report"
    done = run_program(
        [sys.executable, "-m", "cProfile", "-o", str(report), "-m", "millpond", "show.py", "a"],
        cwd=folder,
    )
    plain = run_program([sys.executable, "show.py", "a"], cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain.stdout
    assert report.stat().st_size > 0
