"""Exceptions of pools, locks and queues, besides those that tasks raise themselves.

All are subclasses of `multiprocessing.ProcessError`, which programs already catch.
"""

from __future__ import annotations

import signal as _signal
from multiprocessing import ProcessError
from queue import Full as _Full
from threading import BrokenBarrierError as _BrokenBarrierError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BarrierDeadlock",
    "BrokenPool",
    "Deadlock",
    "OwnerDied",
    "PoisonTask",
    "PoolFull",
    "PoolTerminated",
    "ReceiveDeadlock",
    "RemoteTaskError",
    "TaskExited",
    "TaskTimeout",
    "TaskTimeoutError",
    "TasksLost",
    "WorkerCrashed",
    "WrongProcess",
]


class WorkerCrashed(ProcessError):
    """The worker process died while it ran the task: killed, crashed, or ended by `os._exit`.

    The task may have run in part. Other tasks are not affected, and the worker was replaced.

    Attributes:
        pid: the worker's process id.
        exitcode: as in `Process.exitcode`: a negative number is the signal that ended the worker;
            None if it is not known.
        function: the qualified name of the task's function.
        task: the number of the task in its call, from 0: `apply` has one task, `map` one for each
            chunk.
        items: the numbers, from 0, of the items that the worker was running: one, or several where
            the function is quick and the chunk large; None for `apply`.
        cause: more about the death, as far as it is known.
        seconds: how long the task had run; None if it is not known.
    """

    def __init__(
        self,
        pid: int,
        exitcode: int | None,
        function: str,
        task: int,
        items: range | None = None,
        cause: str = "",
        seconds: float | None = None,
    ) -> None:
        super().__init__(pid, exitcode, function, task, items, cause, seconds)
        self.pid = pid
        self.exitcode = exitcode
        self.function = function
        self.task = task
        self.items = items
        self.cause = cause
        self.seconds = seconds

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
        since = "" if self.seconds is None else f" for {_duration(self.seconds)}"
        return f"{ended} while running {self.function} ({which}){since}{because}"


class PoisonTask(WorkerCrashed):
    """The task killed its worker, was tried once more, and killed that worker too.

    It is not tried again, however many `retries` it has.

    Attributes:
        deaths: the deaths, the last one included, as pairs of a process id and an exit code.
    """

    def __init__(
        self,
        pid: int,
        exitcode: int | None,
        function: str,
        task: int,
        items: range | None = None,
        cause: str = "",
        seconds: float | None = None,
        deaths: tuple[tuple[int, int | None], ...] = (),
    ) -> None:
        super().__init__(pid, exitcode, function, task, items, cause, seconds)
        self.args: tuple[Any, ...] = (*self.args, deaths)
        self.deaths = deaths

    def __str__(self) -> str:
        before = ", ".join(f"worker {pid} {_end(code)}" for pid, code in self.deaths[:-1])
        return f"{super().__str__()}; before that {before}: it is not tried again"


class TaskTimeout(BaseException):
    """The task has run for longer than its `timeout`: a warning, raised in the task itself.

    A task may catch it to clean up, and may return what it has by then: that is its result. If it
    has not ended after the `grace` its worker is killed. Like `KeyboardInterrupt` it is no
    `Exception`, so that `except Exception` does not catch it.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)


class TaskTimeoutError(ProcessError, TimeoutError):
    """The task took longer than its `timeout`.

    `__cause__` has the traceback from the worker if the task heeded the warning (`TaskTimeout`).

    Attributes:
        pid: the worker's process id.
        timeout: the seconds that the task had.
        function: the qualified name of the task's function.
        item: the number of the item in its call, from 0; None for `apply`.
        was_killed: whether the worker was killed; otherwise the task ended after the warning.
        seconds: how long the task had run; None if it is not known.
    """

    def __init__(
        self,
        pid: int,
        timeout: float,
        function: str,
        item: int | None = None,
        was_killed: bool = False,
        seconds: float | None = None,
    ) -> None:
        # `OSError`, which `TimeoutError` is, would take them for a number and a text.
        BaseException.__init__(self, pid, timeout, function, item, was_killed, seconds)
        self.pid = pid
        self.timeout = timeout
        self.function = function
        self.item = item
        self.was_killed = was_killed
        self.seconds = seconds

    def __str__(self) -> str:
        how = f"worker {self.pid} was killed" if self.was_killed else f"worker {self.pid} ended it"
        since = "" if self.seconds is None else f" after {_duration(self.seconds)}"
        at = "" if self.item is None else f" (item {self.item})"
        return (
            f"{self.function}{at} took longer than its timeout of "
            f"{_duration(self.timeout)}; {how}{since}"
        )

    def at(self, item: int) -> TaskTimeoutError:
        """Return the same of another item, without its traceback."""
        _, *others = self.args[3:]
        return TaskTimeoutError(self.pid, self.timeout, self.function, item, *others)


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


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

    That ended the task and not the worker. The caller gets this ordinary exception instead, which
    does not end it either. `__cause__` is the traceback from the worker.

    Attributes:
        exception: what the task raised, such as `SystemExit(3)`; None if it cannot be pickled.
    """

    def __init__(self, message: str, exception: BaseException | None = None) -> None:
        super().__init__(message, exception)
        self.exception = exception

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteTaskError(ProcessError):
    """The task raised an exception that cannot be pickled or unpickled.

    Attributes:
        type_name: the name of the exception's class.
        message: the exception's text.
        traceback: the traceback in the worker, as text.
        problem: why the exception could not be sent.
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
    """The pool has no workers any more and cannot start new ones; its tasks do not run.

    The initializer raised (then `__cause__` is what it raised), or workers end before they are
    ready, or no process can be started.
    """


class OwnerDied(ProcessError):
    """The process that held the lock was killed, or failed, before it released the lock.

    (A process that ends normally keeps the lock: its target returned, or its program ended with
    status 0.)

    One call of `acquire` raises this, once for each death: what the lock guards may be half
    changed, and it is for the caller to repair it. The lock is free again and works as before. Only
    if `Condition.wait` raises this, the caller holds the lock, as always after waiting.

    Attributes:
        pid: the process id of the owner.
        exitcode: as in `Process.exitcode`: a negative number is the signal that ended the owner;
            None if it is not known, as for processes that are not children of this one.
        held: whether the caller holds the lock now.
    """

    def __init__(self, pid: int, exitcode: int | None = None, held: bool = False) -> None:
        super().__init__(pid, exitcode, held)
        self.pid = pid
        self.exitcode = exitcode
        self.held = held

    def __str__(self) -> str:
        now = "which is now held by the caller" if self.held else "which is free again"
        return f"process {self.pid} {_end(self.exitcode)} while it held the lock, {now}"


class Deadlock(ProcessError):
    """The call would wait for ever: nobody alive can end the wait.

    It is raised where that is certain: every other process that had the lock, queue or pipe has
    ended, nobody is about to get it, and this process has no other thread and no signal handler of
    its own. The wait has then lasted for about half a second. What is waited for can be used as
    before.

    `set_deadlock_errors(False)`, or the environment variable `MILLPOND_DEADLOCK_ERRORS=0`, switches
    it off.

    Attributes:
        pids: the process ids of those that have ended, as far as they are known here: the last
            holder of a lock, and processes that this one has started.
    """

    def __init__(self, message: str, pids: tuple[int, ...] = ()) -> None:
        super().__init__(message, pids)
        self.pids = pids

    def __str__(self) -> str:
        return str(self.args[0])


class BarrierDeadlock(Deadlock, _BrokenBarrierError):
    """The parties of a barrier that have not arrived have all ended. The barrier is broken."""


class ReceiveDeadlock(Deadlock, EOFError):
    """No living process can put an item into the queue, or send to the pipe."""


class TasksLost(ProcessError):
    """Processes died before they called `task_done()` for items that they had taken from a queue.

    One call of `JoinableQueue.join` raises this, once; the items count as done from then on.

    Attributes:
        count: the number of these items.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        items = "1 item was" if self.count == 1 else f"{self.count} items were"
        return f"{items} taken by processes that died before they called task_done()"


class PoolFull(ProcessError, _Full):
    """More tasks would wait than `max_pending`, and the pool was made with `when_full="raise"`.

    Nothing of the call was submitted. It is a `queue.Full`.
    """


class PoolTerminated(ProcessError):
    """The pool was terminated before the task had finished."""


class WrongProcess(ProcessError):
    """The pool was created in another process, and this one is a forked child of that."""
