"""The exceptions of tasks: what a worker tells of one, and what the caller is raised.

A worker sends an *account* of a failure, a tuple of plain values, which always arrives: the class's
name, the text, the traceback, and whether the exception is one that ends programs. The pickled
exception comes along where it can be pickled. The owner rebuilds the exception from both.
"""

from __future__ import annotations

import textwrap
import threading
import traceback
from itertools import chain

from millpond._pickling import codec
from millpond.exceptions import (
    BrokenPool,
    PoisonTask,
    PoolTerminated,
    RemoteTaskError,
    TaskExited,
    TaskTimeoutError,
    WorkerCrashed,
    WrongProcess,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any

    from millpond._engine import Attachments

    Account = tuple[str, str, str, bool]

_LONGEST_TEXT = 10_000


def tell(exception: BaseException, skip: int = 1) -> tuple[bytes, bytes, Attachments | None]:
    """Return the account of an exception, and the exception pickled (empty if it cannot be).

    The third is what the handles in the exception lead to, if there are any.

    Args:
        exception: what the task raised.
        skip: how many of the traceback's first frames are the worker's own.
    """
    from millpond import _engine

    shown = exception.__traceback__
    for _ in range(skip):
        shown = shown and shown.tb_next
    try:
        text = str(exception)
    except Exception as error:
        # An exception whose own __str__ raises.
        text = f"<its text cannot be had: {error!r}>"
    try:
        lines = traceback.format_exception(type(exception), exception, shown)
    except Exception:
        # Attributes that `traceback` reads are the exception's own code, too.
        lines = traceback.format_tb(shown)
    # Lone surrogates do not encode.
    name, text, trace = (
        part.encode("utf-8", "replace").decode()
        for part in (type(exception).__qualname__, text[:_LONGEST_TEXT], "".join(lines))
    )
    encoded = _engine.encode((name, text, trace, not isinstance(exception, Exception)))
    assert encoded is not None, "an account is plain values"
    try:
        pickled, attachments = codec.dumps_exception(exception)
    except Exception:
        pickled, attachments = b"", None
    return encoded, pickled, attachments


def unsendable(problem: Exception, value: object) -> BaseException:
    """Return the exception that says that a task's result cannot be sent."""
    error: BaseException = _of_stdlib("MaybeEncodingError")(problem, _Shown(value))
    return error


class _Shown:
    """Stands in for a value where its `repr` is wanted, which may be long or fail."""

    def __init__(self, value: object) -> None:
        if type(value) in (bytes, bytearray, str, list, tuple):
            # The text of all of it may need several times the memory that there is none of.
            value = value[:_LONGEST_TEXT]  # type: ignore[index]
        try:
            self._text = repr(value)[:_LONGEST_TEXT]
        except Exception as error:
            self._text = f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"

    def __repr__(self) -> str:
        return self._text


def _of_stdlib(name: str) -> Any:
    """Return an exception class of the standard library's pool, which its stubs do not know."""
    # Not before it is wanted: under `install()` this import is one of `millpond.pool`, which needs
    # this module.
    from multiprocessing import pool

    return vars(pool)[name]


def rebuild(
    account: Account | None,
    exception: BaseException | None,
    problem: Exception | None,
    first_item: int = 0,
) -> BaseException:
    """Return the exception to raise in the caller for what a worker told.

    Args:
        account: the account, None if it was damaged.
        exception: the exception as it was unpickled, if it was.
        problem: why it could not be unpickled, if it could not.
        first_item: the place of the task's first item in its call.
    """
    name, text, trace, ends_programs = account or ("Exception", "a damaged account", "", False)
    rebuilt: BaseException
    if ends_programs:
        rebuilt = TaskExited(_exit_message(name, text), exception)
    elif isinstance(exception, BaseException):
        rebuilt = exception
        if type(rebuilt) is TaskTimeoutError and rebuilt.item is not None:
            rebuilt = rebuilt.at(first_item)
    else:
        because = (
            f"it could not be unpickled here: {problem!r}" if problem else "it does not pickle"
        )
        rebuilt = RemoteTaskError(name, text, trace, because)
    rebuilt.__cause__ = _of_stdlib("RemoteTraceback")(f'\n"""\n{trace}"""')
    return rebuilt


def _exit_message(name: str, text: str) -> str:
    if name == "SystemExit":
        return f"the task called sys.exit({text})"
    return f"the task raised {name}({text})"


def undecodable_result(problem: Exception) -> BaseException:
    """Return the exception for a result that does not unpickle in the caller."""
    error = RemoteTaskError(
        type(problem).__name__, str(problem), "", "in unpickling a task's result"
    )
    error.__cause__ = problem
    return error


def is_interruption(error: BaseException, trace: TracebackType | None) -> bool:
    """Return whether the handler of a signal raised an exception while a result was unpickled.

    Handlers run in the main thread alone. Python passes them the frame that they interrupt, which
    is the one that they return to: no other function has its caller's frame as an argument.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if isinstance(error, KeyboardInterrupt):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    return any(frame.f_back is not None and _has_caller(frame) for frame in frames)


def _has_caller(frame: FrameType) -> bool:
    """Return whether a function was called with the frame of its caller as an argument."""
    caller = frame.f_back
    values = frame.f_locals.values()
    parts = chain(*(value if type(value) is tuple else (value,) for value in values))
    return any(part is caller for part in parts)


def worker_crashed(
    pid: int,
    exitcode: int | None,
    function: str,
    task: int,
    items: tuple[int, int] | None,
    cause: str,
    seconds: float | None = None,
    deaths: tuple[tuple[int, int | None], ...] | None = None,
) -> BaseException:
    """Return the exception for a task whose worker died.

    Args:
        pid: the worker's.
        exitcode: as `Process.exitcode` has it.
        function: the task's.
        task: which of its call.
        items: which items the worker was at: the first, and how many.
        cause: what else is known.
        seconds: how long the task had run.
        deaths: the pids and exit codes of all workers that it has killed, if it is not tried again.
    """
    at = None if items is None else range(items[0], items[0] + items[1])
    if deaths is not None:
        return PoisonTask(pid, exitcode, function, task, at, cause, seconds, deaths)
    return WorkerCrashed(pid, exitcode, function, task, at, cause, seconds)


def timed_out(
    pid: int, timeout: float, function: str, item: int | None, seconds: float | None
) -> BaseException:
    """Return the exception for a task whose worker was killed because it took too long.

    Args:
        pid: the worker's.
        timeout: how many seconds it had.
        function: the task's.
        item: which item of its call.
        seconds: how long it had run.
    """
    return TaskTimeoutError(pid, timeout, function, item, True, seconds)


def pool_terminated() -> BaseException:
    """Return the exception for a task that was not done when its pool was terminated."""
    return PoolTerminated("the pool was terminated before the task was done")


def call_failed() -> BaseException:
    """Return the exception for a task that did not run because its call had failed already."""
    return PoolTerminated("the call had failed before the task began")


def pool_broken(kind: str, detail: object) -> BaseException:
    """Return the exception for a task of a pool that is broken."""
    if kind == "unfit":
        error = BrokenPool(f"the pool is broken: setting a worker up raised {_shown(detail)}")
        if isinstance(detail, BaseException):
            error.__cause__ = detail
        return error
    if kind == "workers die":
        return BrokenPool(
            f"the pool is broken: its workers end before they are ready ({detail}); "
            "what they printed to stderr says why"
        )
    if kind == "worker died":
        return BrokenPool(f"the pool is broken: {detail} (break_on_crash=True)")
    error = BrokenPool(f"the pool is broken: no process can be started: {detail}")
    if isinstance(detail, BaseException):
        error.__cause__ = detail
    return error


def _shown(detail: object) -> str:
    """Return what is shown of an exception: one that has several lines has them to itself."""
    text = textwrap.dedent(str(detail)).strip()
    if "\n" not in text:
        return repr(detail)
    return f"{type(detail).__name__}:\n\n{textwrap.indent(text, '    ')}\n"


def wrong_process(owner: int) -> BaseException:
    """Return the exception for the use of a pool in a forked child of the process that made it."""
    return WrongProcess(
        f"this pool was created in process {owner} and cannot be used in a forked child; "
        "create a new pool here"
    )
