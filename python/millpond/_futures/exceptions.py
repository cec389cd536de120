"""What goes wrong in an executor: millpond's exceptions and `concurrent.futures`' at once.

Each is caught by programs that know the one or the other.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback

from millpond import _cpython
from millpond.exceptions import (
    BrokenPool,
    PoisonTask,
    PoolTerminated,
    TaskExited,
    WorkerCrashed,
    WrongProcess,
)

__all__ = ["BrokenExecutor", "ForeignExecutor", "FutureCrashed", "as_of_future", "foreign"]


class FutureCrashed(WorkerCrashed, BrokenProcessPool):
    """The worker process died while it ran the future's call. Only this future is affected."""


class PoisonFuture(PoisonTask, BrokenProcessPool):
    """The future's call has killed two workers. Only this future is affected."""


class BrokenExecutor(BrokenPool, BrokenProcessPool):
    """The executor runs nothing any more.

    Its workers cannot be set up, or one has died and `break_on_crash` was asked for, or it was
    terminated.
    """


class ForeignExecutor(WrongProcess, BrokenProcessPool):
    """The executor was created in another process, and this one is a forked child of that."""


def foreign(owner: int) -> ForeignExecutor:
    """Return the exception for the use of an executor in a forked child of its owner."""
    return ForeignExecutor(
        f"this executor was created in process {owner} and cannot be used in a forked child; "
        "create a new executor here"
    )


def as_of_future(error: BaseException) -> BaseException:
    """Return the exception that a future has for one that a pool raises.

    Like the standard library's, a future has what the call raised even where that ends programs,
    and raises it in whoever asks.
    """
    told: BaseException
    if isinstance(error, PoisonTask):
        told = PoisonFuture(*error.args)
    elif isinstance(error, WorkerCrashed):
        told = FutureCrashed(*error.args)
    elif isinstance(error, (BrokenPool, PoolTerminated)):
        told = BrokenExecutor(str(error))
    elif isinstance(error, TaskExited) and error.exception is not None:
        told = error.exception
    else:
        told = error
    cause = error.__cause__
    if isinstance(cause, _cpython.get("multiprocessing.pool", "RemoteTraceback")):
        cause = _RemoteTraceback(cause.tb)
    told.__cause__ = cause
    return told.with_traceback(None)
