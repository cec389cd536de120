"""The normal end of a child that `multiprocessing` forked: it keeps the locks that it holds.

A process that ends normally keeps its locks and permits. The engine does that in an exit handler of
the C library, which interpreters run. A forked child of `multiprocessing` ends by `os._exit`, which
runs no handlers, so its last finalizer does it.
"""

from __future__ import annotations

import sys
import threading
from multiprocessing import process, util

from millpond import _cpython
from millpond._engine_loader import load_engine

_LAST = -sys.maxsize
"""The exit priority of a finalizer that runs after all others."""


def watch() -> None:
    """Register the finalizer in this process, if `multiprocessing` started it, and in children."""
    # A child drops its parent's finalizers, and runs the functions registered here.
    util.register_after_fork(threading.main_thread(), _watch_here)
    if process.parent_process() is not None:
        _watch_here()


def _watch_here(_: object = None) -> None:
    process.current_process().run = _Run()  # type: ignore[method-assign]
    util.Finalize(None, _end, exitpriority=_LAST)


class _Run:
    """What this process runs, and whether it has ended normally."""

    # Before CPython 3.13, finalizers run while the exception is handled that ends the process.
    is_normal = sys.version_info < (3, 13)

    def __init__(self) -> None:
        self._run = process.current_process().run

    def __call__(self) -> None:
        try:
            self._run()
        except BaseException as error:
            _Run.is_normal = _is_normal(error)
            raise
        _Run.is_normal = True


def _end() -> None:
    # A process that came to know of millpond when it ran already has not told how it ended.
    if not _Run.is_normal or not _is_normal(sys.exception()):
        return
    # The next step of every end: it waits for threads, which may still acquire and release.
    _cpython.get("threading", "_shutdown")()
    load_engine().keep_holdings()


def _is_normal(exception: BaseException | None) -> bool:
    """Return whether a process that ends by this exception has the exit status 0."""
    if not isinstance(exception, SystemExit):
        return exception is None
    code = exception.code
    return code is None or (isinstance(code, int) and code & 0xFF == 0)
