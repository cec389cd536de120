"""A program under `python -m millpond` is what `python` runs: only its environment is another."""

from __future__ import annotations

import os
import py_compile
import re
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.program import Completed, run_program

SHOW = """\
import inspect, os, sys
hidden = ("__builtins__", "__loader__", "__spec__", "hidden", "inspect", "os", "sys")
print({name: value for name, value in globals().items() if name not in hidden})
print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent), type(__loader__))
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions)
print({name: value for name, value in os.environ.items() if name != "MILLPOND_INSTALL"})
print(len(inspect.stack(0)), sys.executable, os.listdir("/proc/self/fd"))
"""
FAIL = "def f():\n    raise LookupError('nothing here')\nf()\n"

SCRIPTS = {
    "exception": FAIL,
    "syntax_error": "print(1)\nx = = 2\n",
    "exit": "import sys; sys.exit(7)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "interrupted": """
        import os, signal
        def work():
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        work()
        """,
    "handlers_of_signals": """
        import signal
        print([signal.getsignal(number) for number in sorted(signal.valid_signals())])
        """,
    "atexit_after_exit": """
        import atexit, sys
        atexit.register(lambda: print("__file__" in globals(), "__cached__" in globals()))
        sys.exit(3)
        """,
    "standard_input": "print(input() + '|' + input())",
    "preparation_of_children": """
        import multiprocessing.spawn
        data = multiprocessing.spawn.get_preparation_data("child")
        print({name: data.get(name) for name in data if name.startswith(("init", "sys", "dir"))})
        """,
    "a_multiprocessing_of_its_own": """
        import pathlib, sys
        pathlib.Path("multiprocessing.py").write_text("print('my own')")
        import multiprocessing
        """,
}


def run_both(
    folder: Path,
    arguments: list[str],
    *,
    options: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    input: str | None = None,
    environment: Mapping[str, str] = {},
) -> Completed:
    """Run `python arguments` and `python -m millpond arguments`; fail unless they do the same.

    Args:
        folder: the current directory.
        arguments: what follows `python` or `python -m millpond`.
        options: of the interpreter.
        before: what else stands before `-m millpond`.
        input: what the program can read.
        environment: in addition to that of this process.
    """

    def run(*prefix: str) -> Completed:
        command = [sys.executable, *options, *before, *prefix, *arguments]
        done = run_program(command, cwd=folder, input=input, env=os.environ | environment)
        # What run_program tells its programs apart by.
        output = re.sub(r"MILLPOND_TEST_\w+': '[^']*'", "", done.stdout)
        return Completed((), done.returncode, output, done.stderr)

    plain = run()
    assert run("-m", "millpond") == plain
    return plain


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs of every kind."""
    for name in ("show", "directory/__main__", "package/__main__", "package/show", "other/real"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SHOW)
    (tmp_path / "fail.py").write_text(FAIL)
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "link.py").symlink_to("other/real.py")
    py_compile.compile(str(tmp_path / "show.py"), str(tmp_path / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["show.py", "-x", "--help", "-m"],
        ["other/../show.py"],
        ["--", "show.py", "--"],
        ["link.py"],
        ["compiled.pyc"],
        ["directory", "a"],
        ["no/such.py"],
        ["archive.zip", "a"],
        ["-m", "show", "-m", "x"],
        ["-mshow"],
        ["-m", "package", "a"],
        ["-m", "package.show"],
        ["-m", "fail"],
        ["-m"],
        ["-c", SHOW, "a", "-c"],
        ["-cprint(1)"],
        ["-c", "    print(1)"],
        ["-c", FAIL],
        ["-"],
        ["-", "a", "-"],
        ["--"],
        [],
    ],
    ids=" ".join,
)
def test_kinds_of_programs(arguments: list[str], folder: Path) -> None:
    run_both(folder, arguments, input=SHOW)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPTS[name]))
    run_both(tmp_path, ["script.py", "an", "argument"], input="one\ntwo\n")


@pytest.mark.parametrize(
    "options",
    [
        ("-O",),
        ("-I",),
        ("-E",),
        ("-P",),
        ("-s", "-Werror"),
        ("-W", "error"),
        ("-Xdev", "-u"),
        ("-X", "dev", "-bb"),
        ("-i",),
    ],
    ids=" ".join,
)
def test_options_of_the_interpreter(options: tuple[str, ...], folder: Path) -> None:
    run_both(folder, ["show.py", "a"], options=options, input="print(__name__)\n")


def test_option_that_skips_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("not Python\nprint('skipped')\n")
    assert run_both(tmp_path, ["script.py"], options=("-x",)).stdout == "skipped\n"


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C"}, {"LC_ALL": "POSIX"}], ids=str)
def test_c_locale(locale: dict[str, str], folder: Path) -> None:
    """Python sets LC_CTYPE where it finds this locale; the program's must find it, too."""
    environment = {"LC_ALL": "", "LC_CTYPE": "", "LANG": "C", **locale}
    run_both(folder, ["show.py", "\udcff"], environment=environment)


WHICH = """
import sys
print(sys.executable, sys.prefix, sys.orig_argv[0], open("/proc/self/comm").read())
"""


@pytest.mark.parametrize("name", ["python", "./python"])
def test_interpreter_that_is_named_in_another_way(name: str) -> None:
    folder = os.path.dirname(sys.executable)

    def run(*prefix: str) -> Completed:
        command = ["env", f"--chdir={folder}", f"PATH={folder}", name, *prefix, "-c", WHICH]
        return run_program(command)

    plain, done = run(), run("-m", "millpond")
    assert plain.stdout.startswith(folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, "")


def test_script_in_a_pipe(tmp_path: Path) -> None:
    def run(command: str) -> Completed:
        return run_program(["sh", "-c", f"cat | {sys.executable} {command} /dev/stdin"], input=FAIL)

    plain, done = run(""), run("-m millpond")
    assert (done.returncode, done.stdout, done.stderr) == (1, plain.stdout, plain.stderr)


def test_debugger(folder: Path) -> None:
    commands = "break 2\ncontinue\nwhere\ncontinue\nquit\n"
    done = run_both(folder, ["-m", "pdb", "fail.py", "a"], input=commands)
    assert "fail.py(2)f()" in done.stdout


def test_profiler_that_runs_millpond(folder: Path) -> None:
    before = ("-m", "cProfile", "-o", "report")
    run_both(folder, ["show.py", "a"], before=before)
    assert (folder / "report").stat().st_size > 0


TERMINAL = """
import os, subprocess, sys
controller, terminal = os.openpty()
command = [sys.executable, *sys.argv[1:]]
child = subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
os.write(controller, b"print(1 + 1)\\n1 + 1\\n__name__\\n\\x04")
print(child.communicate()[0].decode())
"""


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=" ".join)
@pytest.mark.parametrize("options", [(), ("-q", "-i")], ids=" ".join)
def test_interactive_prompt(options: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    def run(*prefix: str) -> str:
        # The newer prompt wants to know how wide the terminal is.
        environment = os.environ | {"PYTHON_BASIC_REPL": "1"}
        command = [sys.executable, "-c", TERMINAL, *options, *prefix, *arguments]
        return run_program(command, env=environment).stdout

    plain = run()
    assert plain.count(">>> ") == 4
    assert run("-m", "millpond") == plain
