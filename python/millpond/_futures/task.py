"""One call of a pool, as whoever made it holds it: a future of its outcome."""

from __future__ import annotations

import sys
import threading
import time
from concurrent import futures
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TypeVar

from millpond._pool.errors import wrong_process
from millpond.exceptions import WrongProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._futures.completions import Completions

__all__ = ["DONE", "OVER", "Task", "guarded"]

T = TypeVar("T")

DONE = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})

_CANCELLATION, _PLAIN, _ANY = range(3)
"""Which outcomes are taken: cancellations; those that run no code of the program's; any."""
_STATES = (FINISHED, CANCELLED_AND_NOTIFIED, CANCELLED)
"""Of tasks whose outcome was taken: direct; direct and cancelled; published and cancelled."""


class _Over:
    """What stands for the engine in a task whose outcome was taken."""

    def wait(self, *_: object) -> bool:
        return True

    is_reached = wait

    def settle(self, *_: object) -> bool:
        return False

    abandon = cancel = give_up = is_handed = notify = settle


OVER: Any = _Over()


class Task(futures.Future[T]):
    """The outcome of a job: a future that can be awaited, and cancelled until a worker begins.

    `millpond._futures.completions` explains the two modes of a task, and which thread settles it.
    """

    _state = PENDING
    _result = None
    _exception = None
    _engine: Any = OVER
    _job = -1
    # Items of each chunk but the last, if the result is the list of several.
    _chunksize: int | None = None
    # The place of the first item among those of several calls.
    _first = 0
    # What a failed item does to a list of results, as the engine counts it.
    _on_error = 0
    _is_told = False
    # Whether it has a condition, or is about to. Read by the engine too.
    _is_published = False

    def __init__(self, completions: Completions, engine: Engine, job: int) -> None:
        """Make the handle of a job that the engine has."""
        # No call of the base class's: it would make a condition.
        self._completions = completions
        self._job = job
        self._engine = engine
        # Set here too, for attributes of instances are read faster.
        self._state = PENDING

    def __getattr__(self, name: str) -> Any:
        # What `Future` has, and a task has not until it is published: `Future` and the functions of
        # `concurrent.futures` ask for the condition before anything else.
        if name != "_condition":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._publish()
        return vars(self)[name]

    def __repr__(self) -> str:
        cls = type(self)
        if self._state == FINISHED:
            error, result = self._exception, self._result
            state = f"returned {type(result).__name__}"
            if error is not None:
                state = f"raised {type(error).__name__}"
        elif self._state in DONE:
            state = "cancelled"
        elif self._is_reached():
            state = "done"
        else:
            state = "running" if self.running() else "pending"
        return f"<{cls.__module__}.{cls.__qualname__} at {id(self):#x}, {state}>"

    def done(self) -> bool:
        """Return whether the call is over, or was cancelled."""
        if self._state in DONE:
            return True
        return not self._is_published and self._is_reached() and self._wait(0)

    def cancelled(self) -> bool:
        """Return whether the call was cancelled."""
        if self._state not in DONE:
            self._take(_CANCELLATION)
        return self._state in (CANCELLED, CANCELLED_AND_NOTIFIED)

    def running(self) -> bool:
        """Return whether a worker has the call, or is about to."""
        return not self._is_reached() and self._engine.is_handed(self._job)

    def cancel(self, *, running: bool = False) -> bool:
        """Keep the call from running, and return whether it was cancelled.

        A call that no worker has begun does not run.

        Args:
            running: end a call that runs, too: its worker is killed, with all that it has started,
                and replaced. No other call is affected. What the call returned meanwhile is lost.
        """
        if not self._is_reached():
            if running:
                self._engine.give_up(self._job, True)
            else:
                self._engine.cancel([self._job])
        return self.cancelled()

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returned, or raise what it raised.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            TimeoutError: the timeout ran out first.
            concurrent.futures.CancelledError: the call was cancelled.
        """
        try:
            return self._outcome(timeout, TimeoutError)
        finally:
            # The traceback holds this frame, and those of callers with the arguments, in a circle.
            del self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised; None if it returned.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            TimeoutError: the timeout ran out first.
            concurrent.futures.CancelledError: the call was cancelled.
        """
        if not self._wait(timeout):
            raise TimeoutError(f"the call is not over after {timeout} s")
        if self._state != FINISHED:
            raise futures.CancelledError
        return self._exception

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        if not self.done():
            loop, over = asyncio.get_running_loop(), asyncio.Event()

            def tell(_: object) -> None:
                try:
                    loop.call_soon_threadsafe(over.set)
                except RuntimeError:
                    # The loop was closed, and the coroutine that awaited this with it.
                    pass

            self.add_done_callback(tell)
            try:
                yield from over.wait().__await__()
            finally:
                self._discard_callback(tell)
        if self.cancelled():
            raise asyncio.CancelledError
        try:
            return self.result()
        finally:
            del self

    def _outcome(self, timeout: float | None, late: type[Exception]) -> T:
        """Return or raise the outcome when it is there, or raise `late`."""
        try:
            if not self._wait(timeout):
                raise late(f"the call is not over after {timeout} s")
            # The base class takes an exception that is false for none.
            if self._exception is not None:
                raise self._exception
            if self._state != FINISHED:
                raise futures.CancelledError
            return self._result  # type: ignore[return-value]
        finally:
            # The traceback would hold this frame, and so the task, in a circle.
            del self

    def _is_reached(self) -> bool:
        """Return whether the call is over, though its outcome may have to be unpickled."""
        try:
            return self._state in DONE or self._engine.is_reached(self._job)
        except WrongProcess:
            self._disown()
            return True

    def _wait(self, timeout: float | None) -> bool:
        """Wait until the task is done, or `timeout` seconds have passed; return whether it is."""
        if self._state in DONE:
            return True
        if not self._is_published:
            begin = None if timeout is None else time.monotonic()
            try:
                if not self._engine.wait(self._job, None, timeout):
                    return False
            except WrongProcess:
                self._disown()
            self._take(_ANY if timeout is None else _PLAIN)
            if self._state in DONE:
                return True
            # Another thread is taking it, or has published the task meanwhile.
            if begin is not None:
                timeout = max(begin + timeout - time.monotonic(), 0)  # type: ignore[operator]
        if timeout is not None:
            if timeout != timeout:
                raise ValueError("timeout must be a number of seconds or None, not nan")
            timeout = min(timeout, threading.TIMEOUT_MAX)
        try:
            condition = self._condition
        except RuntimeError:
            # There can be no thread that unpickles, so this one does, however long it takes.
            if not self._take(_ANY):
                raise
            return True
        with condition:
            return condition.wait_for(lambda: self._state in DONE, timeout)

    def _take(self, chosen: int) -> bool:
        """Take the outcome from the engine, if it is there and chosen, and return whether it was.

        Raises:
            BaseException: what a signal handler raised while the outcome was unpickled, which the
                engine has still.
        """
        try:
            taken: bool = self._engine.settle(
                self._job, self, chosen, self._chunksize, self._first, self._on_error, _STATES
            )
        except WrongProcess:
            self._disown()
            return True
        finally:
            if self._state == CANCELLED:
                self._tell()
        if taken:
            # The engine has descriptors and memory for as long as anybody has it.
            self._engine = OVER
        return taken

    def _settle(self) -> None:
        """Take the outcome of a published task, in the thread that tells everybody."""
        engine = self._engine
        if not self._take(_ANY):
            if engine.notify(self._job):
                # Another thread is unpickling it, and this one will hear of it again.
                return
            if self._state == CANCELLED:
                # The thread that has cancelled it tells.
                return
        self._tell()

    def _tell(self) -> None:
        """Make the outcome that was taken final, and tell everybody, once."""
        with self._condition:
            if self._is_told:
                return
            self._is_told = True
        self._call_back()
        with self._condition:
            is_cancelled = self._state in (CANCELLED, CANCELLED_AND_NOTIFIED)
            self._state = CANCELLED_AND_NOTIFIED if is_cancelled else FINISHED
            for waiter in self._waiters:
                if is_cancelled:
                    waiter.add_cancelled(self)
                elif self._exception is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            self._condition.notify_all()
        guarded(self._invoke_callbacks)
        self._completions.forget(self._job)

    def _call_back(self) -> None:
        """Call what is called before anybody learns that the task is done."""

    def _fail(self, error: BaseException) -> None:
        """Make an exception the outcome of a task that nobody can settle any more."""
        engine, self._engine = self._engine, OVER
        engine.abandon(self._job)
        if self._state not in DONE:
            self._exception = self._converted(error)
            self._is_told = False
        self._tell()

    def _converted(self, error: BaseException) -> BaseException:
        """Return the exception that this task has for one that the engine raises."""
        return error.with_traceback(None)

    def _publish(self) -> None:
        """Become a future that others can wait for."""
        if self._completions.is_foreign():
            self._disown()
        else:
            self._completions.watch(self)

    def _add_condition(self) -> None:
        """Get what `Future` has; the condition, by which others find the rest, last."""
        own = vars(self)
        if "_condition" not in own:
            of_future = vars(futures.Future())
            condition = of_future.pop("_condition")
            for name, value in of_future.items():
                # Another thread may be storing the outcome.
                own.setdefault(name, value)
            # Before anybody can wait for the condition: whoever takes the outcome now tells of it.
            own["_is_published"] = True
            own["_condition"] = condition

    def _discard_callback(self, callback: Callable[..., object]) -> None:
        with self._condition:
            # A new list: another thread may be going through the old one.
            kept = [other for other in vars(self)["_done_callbacks"] if other is not callback]
            vars(self)["_done_callbacks"] = kept

    def _disown(self) -> None:
        """Fail in a forked child of the owner, where no thread settles it."""
        # A thread that does not exist here may have had the lock.
        vars(self).pop("_condition", None)
        self._engine = OVER
        if self._state == CANCELLED:
            # This is what a thread that waits for it looks for.
            self._state = CANCELLED_AND_NOTIFIED
        elif self._state not in DONE:
            self._exception = self._converted(wrong_process(self._completions.owner))
            self._state = FINISHED
        self._add_condition()

    def __del__(self) -> None:
        self._engine.abandon(self._job)


def guarded(action: Callable[..., object], *arguments: object) -> None:
    """Do something that may call a program's callbacks, whatever they raise."""
    try:
        action(*arguments)
    except BaseException as error:
        told = type(error), error, error.__traceback__, threading.current_thread()
        try:
            threading.excepthook(threading.ExceptHookArgs(told))
        except BaseException as of_hook:
            # As `threading` does with its own threads.
            sys.excepthook(type(of_hook), of_hook, of_hook.__traceback__)
