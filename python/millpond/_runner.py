"""Running a program as `__main__` so that it cannot tell the difference from plain `python`."""

from __future__ import annotations

import builtins
import os
import sys
from importlib.machinery import BuiltinImporter
from types import ModuleType

from millpond._cli import fail, parse
from millpond._install import install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

    from millpond._programs import Program

__all__ = ["main"]


def main() -> None:
    """Run the program that the command line names, with millpond installed."""
    invocation = parse(sys.argv[1:])
    program = invocation.program
    # First, so that what is imported from here on is what the program itself would import.
    program.enter()
    try:
        program.load()
    except OSError as error:
        fail(f"can't open file {error.filename!r}: [Errno {error.errno}] {error.strerror}")
    except Exception as error:
        if os.path.isfile(program.argv0):
            _let_python_report(program, invocation.arguments)
        # A pipe cannot be read twice.
        sys.excepthook = _Report(error, program, {})
        raise
    install(subprocesses=True)
    if invocation.start_method is not None:
        _set_default_start_method(invocation.start_method)
    sys.argv = [program.argv0, *invocation.arguments]
    _run(program)


def _run(program: Program) -> None:
    namespace = _fresh_main()
    try:
        program.execute(namespace)
    except SystemExit:
        raise
    except BaseException as error:
        sys.excepthook = _Report(error, program, namespace)
        raise
    program.leave(namespace)


def _fresh_main() -> dict[str, Any]:
    """Return the namespace of `__main__` as the interpreter makes it before a program runs."""
    main = sys.modules["__main__"]
    if getattr(main.__spec__, "name", None) != "millpond.__main__":
        # A profiler or the like runs us, and needs what is its own.
        main = sys.modules["__main__"] = ModuleType("__main__")
    namespace = vars(main)
    namespace.clear()
    namespace.update(
        __name__="__main__",
        __doc__=None,
        __package__=None,
        __loader__=BuiltinImporter,
        __spec__=None,
        __builtins__=builtins,
    )
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    return namespace


class _Report:
    """A `sys.excepthook` for one exception, which leaves our own frames out of its traceback."""

    def __init__(self, error: BaseException, program: Program, namespace: dict[str, Any]) -> None:
        self._traceback = _without_our_frames(error.__traceback__)
        self._program = program
        self._namespace = namespace
        self._hook: Any = getattr(sys, "excepthook", None)

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        error.__traceback__ = sys.last_traceback = self._traceback
        if self._hook is None:
            del sys.excepthook
            sys.stderr.write("sys.excepthook is missing\n")
            sys.__excepthook__(kind, error, self._traceback)
        else:
            sys.excepthook = self._hook
            self._call_hook(kind, error)
        self._program.leave(self._namespace)

    def _call_hook(self, kind: type[BaseException], error: BaseException) -> None:
        try:
            self._hook(kind, error, self._traceback)
        except SystemExit:
            raise
        except BaseException as failure:
            failure.__traceback__ = _without_our_frames(failure.__traceback__)
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(failure), failure, failure.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, error, self._traceback)


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Drop the leading entries, those of the functions of this package that ran the program."""
    while traceback is not None and traceback.tb_frame.f_globals.get("__package__") == __package__:
        traceback = traceback.tb_next
    return traceback


def _set_default_start_method(method: str) -> None:
    """Change what is used when nothing is set, so that the program can still set it itself."""
    import multiprocessing.context

    default: Any = multiprocessing.context._default_context
    default._default_context = default.get_context(method)


def _let_python_report(program: Program, arguments: list[str]) -> NoReturn:
    """Turn this process into plain `python`, which words best why it cannot compile a script."""
    import subprocess

    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    os.execv(sys.executable, [sys.executable, *options, program.argv0, *arguments])
