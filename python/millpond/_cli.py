"""`python -m millpond`: becomes `python`, in an environment by which that installs millpond."""

from __future__ import annotations

import os
import sys

from millpond._install.startup import INSTALL, START_METHOD
from millpond._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main", "parse", "without_millpond"]

START_METHODS = ("fork", "spawn", "forkserver")

HELP = """\
usage: python [python option ...] -m millpond [option ...]
              [program [argument ...]]

Run an unmodified Python program whose multiprocessing is millpond, in every
process of its tree.

the program, and what follows it, as for python:
  script                 a file, directory or zip archive (with a __main__.py)
  -m module              a module or package of the import path
  -c code                the code itself
  -                      what is read from standard input, as without a program;
                         at a terminal, the interactive prompt

options:
  --start-method METHOD  how children start unless the program says otherwise:
                         fork, spawn or forkserver
  --no-subprocesses      reach the program and what its multiprocessing starts,
                         and not the Python programs that it starts otherwise
  -h, --help             show this message and exit
  -V, --version          show the version and exit
"""


def main() -> NoReturn:
    """Execute the command line without `-m millpond` in this process."""
    variables, program = parse(sys.argv[1:])
    python = without_millpond(sys.orig_argv, sys.argv[1:])
    if python is None:
        fail("this command line is not one of python [option ...] -m millpond [option ...]")
    if not sys.executable:
        fail("this interpreter does not know its own path: start it by that")
    if "millpond_install" not in sys.modules:
        fail(_why_no_hook())
    os.execve(sys.executable, [*python, *program], _given_environment() | variables)


def parse(words: list[str]) -> tuple[dict[bytes, bytes], list[str]]:
    """Split `words`, which follow `-m millpond`, into our options and what is for `python`.

    Returns:
        The environment variables that the options ask for, and the other words.

    Raises:
        SystemExit: the command line is wrong (status 2), or asked for help or the version.

    Example:
        >>> from millpond._cli import parse
        >>> parse(["--no-subprocesses", "-m", "this", "-x"])
        ({b'MILLPOND_INSTALL': b'once'}, ['-m', 'this', '-x'])
    """
    variables = {INSTALL: "1"}
    rest = list(words)
    while rest and rest[0].startswith("-") and not rest[0].startswith(("-m", "-c")):
        if rest[0] in ("-", "--"):
            break
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            sys.stdout.write(HELP)
            sys.exit(0)
        elif word in ("-V", "--version"):
            sys.stdout.write(f"millpond {__version__}\n")
            sys.exit(0)
        elif word == "--no-subprocesses":
            variables[INSTALL] = "once"
        elif option == "--start-method":
            if not equals and not rest:
                fail("--start-method needs an argument: see python -m millpond --help")
            method = variables[START_METHOD] = value if equals else rest.pop(0)
            if method not in START_METHODS:
                known = ", ".join(START_METHODS)
                fail(f"unknown start method {method!r}: choose one of {known}")
        elif word.startswith("--"):
            fail(f"unknown option {word}: see python -m millpond --help")
        else:
            fail(f"unknown option {word}: options of python stand before -m millpond")
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}, rest


def without_millpond(command: list[str], arguments: list[str]) -> list[str] | None:
    """Return what stands before `-m millpond` and its `arguments` in a command line.

    A profiler or debugger that runs modules, too, stays, and runs the program.

    Returns:
        The words, or None if the command line does not end so.

    Example:
        >>> from millpond._cli import without_millpond
        >>> without_millpond(["python", "-Im", "millpond", "script.py"], ["script.py"])
        ['python', '-I']
        >>> without_millpond(["python", "-m", "cProfile", "-m", "millpond"], [])
        ['python', '-m', 'cProfile']
    """
    words = command[: len(command) - len(arguments)]
    if not words or command[len(words) :] != arguments or not words[-1].endswith("millpond"):
        return None
    option = words.pop().removesuffix("millpond")
    if not option and words:
        option = words.pop()
    letters = option[1:-1]
    # The value of one of -W, -X and -c could look the same.
    if not option.startswith("-") or not option.endswith("m") or set(letters) & set("-WXc"):
        return None
    return [*words, f"-{letters}"] if letters else words


def _given_environment() -> dict[bytes, bytes]:
    """Return the environment as this interpreter got it.

    In the C locale it has set `LC_CTYPE` since, by which the next one would see another locale.
    """
    environment: dict[bytes, bytes] = {}
    with open("/proc/self/environ", "rb") as file:
        for entry in file.read().split(b"\0"):
            name, equals, value = entry.partition(b"=")
            if equals:
                environment.setdefault(name, value)
    return environment


def _why_no_hook() -> str:
    if sys.flags.no_site:
        return (
            "under -S python does not read millpond_install.pth, which installs millpond in the "
            "program: leave -S out, or call millpond.install() in the program's first line"
        )
    return (
        "python did not read millpond_install.pth when it started, which installs millpond in the "
        f"program: there is none in the site-packages of {sys.executable} for the millpond in "
        f"{os.path.dirname(__file__)}. Install millpond for this interpreter (pip install "
        "millpond, not with --target), or call millpond.install() in the program's first line"
    )


def fail(message: str) -> NoReturn:
    """Exit as `python` does when it cannot run what it was asked to."""
    sys.stderr.write(f"{sys.executable} -m millpond: {message}\n")
    sys.exit(2)
