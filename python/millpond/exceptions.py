"""What goes wrong in a pool, beyond the exceptions that tasks raise themselves.

All of them are `multiprocessing.ProcessError`s, which programs already catch.
"""

from __future__ import annotations

import signal as _signal
from multiprocessing import ProcessError

__all__ = [
    "BrokenPool",
    "OwnerDied",
    "PoolTerminated",
    "RemoteError",
    "TaskExited",
    "TasksLost",
    "WorkerCrashed",
    "WrongProcess",
]


class WorkerCrashed(ProcessError):
    """The worker process died while it had the task: killed, crashed, or ended by `os._exit`.

    The task may have been done in part. Other tasks are not affected, and another worker has
    taken the place of the dead one.

    Attributes:
        pid: the worker's process id.
        exitcode: as `Process.exitcode` has it, so minus the signal if one ended the worker;
            None if it is not known.
        function: the qualified name of the task's function.
        task: which task of its call, counted from 0; a call of `apply` has one, a call of `map`
            one for each chunk.
        items: which items of its call the worker was at, counted from 0: one, or a few where the
            function is quick and the chunk large; None for `apply`.
    """

    def __init__(
        self,
        pid: int,
        exitcode: int | None,
        function: str,
        task: int,
        items: range | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(pid, exitcode, function, task, items, cause)
        self.pid = pid
        self.exitcode = exitcode
        self.function = function
        self.task = task
        self.items = items
        self.cause = cause

    @property
    def item(self) -> int | None:
        """The first of `items`."""
        return None if self.items is None else self.items[0]

    @property
    def signal(self) -> _signal.Signals | None:
        """The signal that ended the worker, if one did and it has a name."""
        if self.exitcode is None or self.exitcode >= 0:
            return None
        try:
            return _signal.Signals(-self.exitcode)
        except ValueError:
            return None

    def __str__(self) -> str:
        which = f"task {self.task}"
        if self.items is not None:
            which += f", item {self.items[0]}"
        if self.items is not None and len(self.items) > 1:
            which += f" to {self.items[-1]}"
        because = f": {self.cause}" if self.cause else ""
        ended = f"worker {self.pid} {_end(self.exitcode)}"
        return f"{ended} while running {self.function} ({which}){because}"


def _end(exitcode: int | None) -> str:
    if exitcode is None:
        return "died"
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    try:
        return f"was killed by {_signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was killed by signal {-exitcode}"


class TaskExited(ProcessError):
    """The task raised `SystemExit`, `KeyboardInterrupt` or another exception that ends programs.

    It ended the task, not the worker, and arrives as an ordinary exception so that it does not end
    the caller either. `__cause__` is the traceback from the worker.

    Attributes:
        exception: what the task raised, such as `SystemExit(3)`; None if it cannot be pickled.
    """

    def __init__(self, message: str, exception: BaseException | None = None) -> None:
        super().__init__(message, exception)
        self.exception = exception

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteError(ProcessError):
    """What a worker sent could not be rebuilt here: an exception that does not pickle or unpickle.

    Attributes:
        type_name: the name of the exception's class.
        message: the exception's text.
        traceback: the traceback in the worker, as text.
    """

    def __init__(self, type_name: str, message: str, traceback: str, problem: str = "") -> None:
        super().__init__(type_name, message, traceback, problem)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        self.problem = problem

    def __str__(self) -> str:
        problem = f" ({self.problem})" if self.problem else ""
        return f"{self.type_name}: {self.message}{problem}"


class BrokenPool(ProcessError):
    """The pool cannot have workers any more, so none of its tasks will run.

    Either the initializer raised (then `__cause__` is what it raised), or workers end before they
    are ready, or no process can be started.
    """


class OwnerDied(ProcessError):
    """The process that held the lock died before it released it.

    One waiter gets this, once: whatever the lock guards may be half changed and is for it to
    repair. The lock is free again, and usable as before; only when `Condition.wait` raises this
    the caller holds the lock, as it always does after waiting.

    Attributes:
        pid: the process id of the owner.
        exitcode: as `Process.exitcode` has it, so minus the signal if one ended the owner; None
            if it is not known, as of processes that are no children of this one.
        held: the caller holds the lock now.
    """

    def __init__(self, pid: int, exitcode: int | None = None, held: bool = False) -> None:
        super().__init__(pid, exitcode, held)
        self.pid = pid
        self.exitcode = exitcode
        self.held = held

    def __str__(self) -> str:
        now = "which is now held by the caller" if self.held else "which is free again"
        return f"process {self.pid} {_end(self.exitcode)} while it held the lock, {now}"


class TasksLost(ProcessError):
    """Processes died that had taken items from a queue and had not said that they are done.

    One call of `JoinableQueue.join` gets this, once: the items count as done from then on, and it
    is for the caller to know what they were.

    Attributes:
        count: how many items.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        items = "1 item was" if self.count == 1 else f"{self.count} items were"
        return f"{items} taken by processes that died before they called task_done()"


class PoolTerminated(ProcessError):
    """The pool was terminated before the task was done."""


class WrongProcess(ProcessError):
    """The pool belongs to another process, of which this one is a forked child."""
