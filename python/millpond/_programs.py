"""The kinds of program that `python` runs, each loaded and executed as `python` does it."""

from __future__ import annotations

import io
import os
import sys
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

__all__ = ["Archive", "Command", "Module", "Program", "Script", "Stdin", "is_archive"]


class Program:
    """What to run as `__main__`."""

    argv0: str
    """`sys.argv[0]` when the program starts."""

    def load(self) -> None:
        """Read and compile what can be, while nothing has been changed in this process yet."""

    def enter(self) -> None:
        """Set `sys.path[0]`: it is the current directory by then, unless in safe mode."""

    def execute(self, namespace: dict[str, Any]) -> None:
        """Run in the namespace of `__main__`."""
        raise NotImplementedError

    def leave(self, namespace: dict[str, Any]) -> None:
        """Forget what `python` forgets once the code has ended other than by `SystemExit`."""


class Script(Program):
    """A file of source or byte code."""

    def __init__(self, path: str) -> None:
        self.argv0 = path
        self._file = _absolute(path)

    def load(self) -> None:
        with io.open_code(self._file) as file:
            data = file.read()
        self._is_bytecode = self._file.endswith(".pyc") or data.startswith(MAGIC_NUMBER)
        self._code = _unmarshal(data) if self._is_bytecode else _compile(data, self._file)

    def enter(self) -> None:
        if not sys.flags.safe_path:
            sys.path[0] = os.path.dirname(os.path.realpath(self._file))

    def execute(self, namespace: dict[str, Any]) -> None:
        loader = SourcelessFileLoader if self._is_bytecode else SourceFileLoader
        namespace["__loader__"] = loader("__main__", self._file)
        namespace["__file__"] = self._file
        namespace["__cached__"] = None
        exec(self._code, namespace)

    def leave(self, namespace: dict[str, Any]) -> None:
        _forget_file(namespace)


class Archive(Program):
    """A directory or zip archive with a `__main__` module."""

    def __init__(self, path: str) -> None:
        self.argv0 = path
        self._path = _absolute(path)

    def enter(self) -> None:
        if sys.flags.safe_path:
            sys.path.insert(0, self._path)
        else:
            sys.path[0] = self._path

    def execute(self, namespace: dict[str, Any]) -> None:
        _run_module("__main__", alter_argv=False)


class Module(Program):
    """A module or package of the import path, as after `-m`."""

    argv0 = "-m"

    def __init__(self, name: str) -> None:
        self._name = name

    def execute(self, namespace: dict[str, Any]) -> None:
        _run_module(self._name, alter_argv=True)


class Command(Program):
    """Code given on the command line, as after `-c`."""

    argv0 = "-c"

    def __init__(self, source: str) -> None:
        self._source = source + "\n"

    def enter(self) -> None:
        _enter_current_directory()

    def execute(self, namespace: dict[str, Any]) -> None:
        if sys.version_info >= (3, 13):
            # Since then tracebacks show the lines of such code, too.
            import linecache

            lines = self._source.splitlines(keepends=True)
            linecache.cache["<string>"] = (len(self._source), None, lines, "<string>")
        exec(_compile(self._source, "<string>"), namespace)


class Stdin(Program):
    """Code that is read from standard input."""

    argv0 = "-"

    def enter(self) -> None:
        _enter_current_directory()

    def execute(self, namespace: dict[str, Any]) -> None:
        namespace["__file__"] = "<stdin>"
        namespace["__cached__"] = None
        exec(_compile(sys.stdin.buffer.read(), "<stdin>"), namespace)

    def leave(self, namespace: dict[str, Any]) -> None:
        _forget_file(namespace)


def is_archive(path: str) -> bool:
    """Return whether the import system can look into `path`, a directory or an archive.

    Example:
        >>> from millpond._programs import is_archive
        >>> is_archive("/"), is_archive("no/such/thing")
        (True, False)
    """
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _absolute(path: str) -> str:
    # Not os.path.abspath: python keeps the ".." and "." of its argument in `__file__`.
    return os.path.join(os.getcwd(), path)


def _compile(source: str | bytes, filename: str) -> CodeType:
    if isinstance(source, bytes) and not source.isascii():
        _check_encoding(source)
    return compile(source, filename, "exec", dont_inherit=True)


def _check_encoding(source: bytes) -> None:
    """Refuse what `python` refuses in a file but `compile` overlooks in a comment."""
    from tokenize import detect_encoding

    encoding, _ = detect_encoding(io.BytesIO(source).readline)
    try:
        source.decode(encoding)
    except UnicodeDecodeError as error:
        raise SyntaxError(f"source code is not valid {encoding}: {error}") from None


def _unmarshal(data: bytes) -> CodeType:
    if not data.startswith(MAGIC_NUMBER):
        raise RuntimeError("Bad magic number in .pyc file")
    import marshal

    code: CodeType = marshal.loads(data[16:])
    return code


def _forget_file(namespace: dict[str, Any]) -> None:
    namespace.pop("__file__", None)
    namespace.pop("__cached__", None)


def _enter_current_directory() -> None:
    if not sys.flags.safe_path:
        sys.path[0] = ""


def _run_module(name: str, *, alter_argv: bool) -> None:
    import runpy

    # The function behind `python -m` itself: unlike `run_module` it runs in the real `__main__`.
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]
