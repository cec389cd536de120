"""The command line of `python -m millpond`, which reads like that of `python` itself."""

from __future__ import annotations

import sys

from millpond._programs import Archive, Command, Module, Script, Stdin, is_archive
from millpond._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from millpond._programs import Program

__all__ = ["Invocation", "parse"]

START_METHODS = ("fork", "spawn", "forkserver")

HELP = """\
usage: python -m millpond [option ...] program [argument ...]

Run an unmodified Python program whose multiprocessing is millpond, in every
process of its tree.

the program, and what follows it, as for python:
  script                 a file, directory or zip archive (with a __main__.py)
  -m module              a module or package of the import path
  -c code                the code itself
  -                      what is read from standard input

options:
  --start-method METHOD  how children start unless the program says otherwise:
                         fork, spawn or forkserver
  -h, --help             show this message and exit
  -V, --version          show the version and exit
"""


class Invocation:
    """What the command line asks for."""

    def __init__(self, program: Program, arguments: list[str], start_method: str | None) -> None:
        self.program = program
        self.arguments = arguments
        self.start_method = start_method


def parse(words: list[str]) -> Invocation:
    """Return what `words`, the command line without the program's name, asks for.

    Raises:
        SystemExit: the command line is wrong (status 2), or asked for help or the version.

    Example:
        >>> from millpond._cli import parse
        >>> parse(["--start-method", "spawn", "-m", "this", "-x"]).arguments
        ['-x']
    """
    start_method = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            sys.stdout.write(HELP)
            sys.exit(0)
        elif word in ("-V", "--version"):
            sys.stdout.write(f"millpond {__version__}\n")
            sys.exit(0)
        elif option == "--start-method":
            start_method = value if equals else _value_of(option, rest)
            if start_method not in START_METHODS:
                known = ", ".join(START_METHODS)
                fail(f"unknown start method {start_method!r}: choose one of {known}")
        elif word.startswith("-m"):
            return Invocation(Module(word[2:] or _value_of("-m", rest)), rest, start_method)
        elif word.startswith("-c"):
            return Invocation(Command(word[2:] or _value_of("-c", rest)), rest, start_method)
        elif word == "-":
            return Invocation(Stdin(), rest, start_method)
        elif word.startswith("-") and word != "--":
            fail(f"unknown option {word}: see python -m millpond --help")
        else:
            path = _value_of("--", rest) if word == "--" else word
            program = Archive(path) if is_archive(path) else Script(path)
            return Invocation(program, rest, start_method)
    return fail("no program to run: see python -m millpond --help")


def fail(message: str) -> NoReturn:
    """Exit as `python` does when it cannot run what it was asked to."""
    sys.stderr.write(f"{sys.executable} -m millpond: {message}\n")
    sys.exit(2)


def _value_of(option: str, rest: list[str]) -> str:
    if not rest:
        fail(f"{option} needs an argument: see python -m millpond --help")
    return rest.pop(0)
