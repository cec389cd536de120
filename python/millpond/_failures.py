"""The exceptions that a caller sees, rebuilt from what came from the workers."""

from __future__ import annotations

import multiprocessing.pool as _stdlib

from millpond.exceptions import (
    BrokenPool,
    PoolTerminated,
    RemoteError,
    TaskExited,
    WorkerCrashed,
    WrongProcess,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    Account = tuple[str, str, str, bool]


def rebuild(
    account: Account | None,
    exception: BaseException | None,
    problem: Exception | None,
) -> BaseException:
    """Return the exception to raise in the caller for what a worker told.

    Args:
        account: the account, None if it was damaged.
        exception: the exception as it was unpickled, if it was.
        problem: why it could not be unpickled, if it could not.
    """
    name, text, trace, ends_programs = account or ("Exception", "a damaged account", "", False)
    rebuilt: BaseException
    if ends_programs:
        rebuilt = TaskExited(_exit_message(name, text), exception)
    elif isinstance(exception, BaseException):
        rebuilt = exception
    else:
        because = (
            f"it could not be unpickled here: {problem!r}" if problem else "it does not pickle"
        )
        rebuilt = RemoteError(name, text, trace, because)
    rebuilt.__cause__ = vars(_stdlib)["RemoteTraceback"](f'\n"""\n{trace}"""')
    return rebuilt


def _exit_message(name: str, text: str) -> str:
    if name == "SystemExit":
        return f"the task called sys.exit({text})"
    return f"the task raised {name}({text})"


def undecodable_result(problem: Exception) -> BaseException:
    """Return the exception for a result that does not unpickle in the caller."""
    error = RemoteError(type(problem).__name__, str(problem), "", "in unpickling a task's result")
    error.__cause__ = problem
    return error


def worker_crashed(
    pid: int,
    exitcode: int | None,
    function: str,
    task: int,
    items: tuple[int, int] | None,
    cause: str,
) -> BaseException:
    """Return the exception for a task whose worker died.

    Args:
        pid: the worker's.
        exitcode: as `Process.exitcode` has it.
        function: the task's.
        task: which of its call.
        items: which items the worker was at: the first, and how many.
        cause: what else is known.
    """
    at = None if items is None else range(items[0], items[0] + items[1])
    return WorkerCrashed(pid, exitcode, function, task, at, cause)


def pool_terminated() -> BaseException:
    """Return the exception for a task that was not done when its pool was terminated."""
    return PoolTerminated("the pool was terminated before the task was done")


def call_failed() -> BaseException:
    """Return the exception for a task that did not run because its call had failed already."""
    return PoolTerminated("the call had failed before the task began")


def pool_broken(kind: str, detail: object) -> BaseException:
    """Return the exception for a task of a pool that is broken."""
    if kind == "unfit":
        error = BrokenPool(f"the pool is broken: setting a worker up raised {detail!r}")
        if isinstance(detail, BaseException):
            error.__cause__ = detail
        return error
    if kind == "workers die":
        return BrokenPool(
            f"the pool is broken: its workers end before they are ready ({detail}); "
            "what they printed to stderr says why"
        )
    if kind == "worker died":
        return BrokenPool(f"the pool is broken: {detail}, and it was to be broken by that")
    error = BrokenPool(f"the pool is broken: no process can be started: {detail}")
    if isinstance(detail, BaseException):
        error.__cause__ = detail
    return error


def wrong_process(owner: int) -> BaseException:
    """Return the exception for the use of a pool in a forked child of the process that made it."""
    return WrongProcess(
        f"this pool belongs to process {owner}, of which this one is a forked child: "
        "make a pool of its own here"
    )
