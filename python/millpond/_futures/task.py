"""One call of a pool, as whoever made it holds it: a future of its outcome."""

from __future__ import annotations

import sys
import threading
from concurrent import futures
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TypeVar

from millpond._pool.errors import CallCancelled, wrong_process
from millpond.exceptions import WrongProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._futures.completions import Completions

__all__ = ["Task", "guarded"]

T = TypeVar("T")

_DONE = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})


class _Condition:
    """The condition of a task that is not published yet: whoever asks for it publishes the task.

    `Future` and the functions of `concurrent.futures` ask for it before anything else.
    """

    def __get__(self, task: Task[Any] | None, _owner: type[Any]) -> Any:
        if task is None:
            return self
        task._publish()
        return vars(task)["_condition"]


class Task(futures.Future[T]):
    """The outcome of a job: a future that can be awaited, and cancelled until a worker begins.

    `millpond._futures.completions` explains the two modes of a task, and which thread settles it.
    """

    # Until it is published, a task has none of the attributes of `Future`.
    if not TYPE_CHECKING:
        _condition = _Condition()
    _state = PENDING
    _result = None
    _exception = None
    # Whether it has them.
    _is_published = False
    # Whether the outcome was taken from the engine, or nobody will take it.
    _claimed = True
    # Whether this is happening now.
    _is_taking = False

    def __init__(self, completions: Completions, engine: Engine, job: int) -> None:
        """Make the handle of a job that the engine has."""
        # No call of the base class's: it would make a condition.
        self._completions = completions
        self._engine = engine
        self._job = job
        # A handler of a signal, which runs while a result is unpickled, may ask for it too.
        self._lock = threading.RLock()
        self._claimed = False
        # Set here too, for attributes of instances are read faster.
        self._is_published = False
        self._state = PENDING

    def __repr__(self) -> str:
        cls = type(self)
        if not self.done():
            state = "running" if self.running() else "pending"
        elif self._state == PENDING:
            state = "done"
        elif self._state != FINISHED:
            state = "cancelled"
        elif self._exception is not None:
            state = f"raised {type(self._exception).__name__}"
        else:
            state = f"returned {type(self._result).__name__}"
        return f"<{cls.__module__}.{cls.__qualname__} at {id(self):#x}, {state}>"

    def done(self) -> bool:
        """Return whether the call is over, or was cancelled."""
        return self._state in _DONE or self._is_reached()

    def cancelled(self) -> bool:
        """Return whether the call was cancelled."""
        if not self._is_published:
            self._settle_if_over()
        return self._state in (CANCELLED, CANCELLED_AND_NOTIFIED)

    def running(self) -> bool:
        """Return whether a worker has the call, or is about to."""
        return not self.done() and self._engine.is_handed(self._job)

    def cancel(self) -> bool:
        """Keep the call from running, and return whether it will not run.

        It does not run if no worker has begun it.
        """
        if not self.done():
            self._engine.cancel([self._job])
            self._settle_if_over()
        return self.cancelled()

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returned, or raise what it raised.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            TimeoutError: the timeout ran out first.
            concurrent.futures.CancelledError: the call was cancelled.
        """
        if not self._wait(timeout):
            raise TimeoutError(f"the call is not over after {timeout} s")
        try:
            return self._outcome()
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
            loop = asyncio.get_running_loop()
            over = loop.create_future()

            def settle() -> None:
                if not over.done():
                    over.set_result(None)

            def tell(_: object) -> None:
                try:
                    loop.call_soon_threadsafe(settle)
                except RuntimeError:
                    # The loop was closed, and the coroutine that awaited this with it.
                    pass

            self.add_done_callback(tell)
            try:
                yield from over
            finally:
                self._discard_callback(tell)
        if self.cancelled():
            raise asyncio.CancelledError
        try:
            return self.result()
        finally:
            del self

    def _publish(self) -> None:
        """Become a future that others can wait for."""
        if self._completions.is_foreign():
            self._disown()
            return
        # First: if this is interrupted, a thread that asks for the condition comes here again.
        self._completions.watch(self)
        with self._lock:
            self._add_condition()

    def _add_condition(self) -> None:
        if not self._is_published:
            own = vars(self)
            own.update({k: v for k, v in vars(futures.Future()).items() if k not in own})
            self._is_published = True

    def _discard_callback(self, callback: Callable[..., object]) -> None:
        with self._condition:
            # A new list: another thread may be going through the old one.
            kept = [other for other in vars(self)["_done_callbacks"] if other is not callback]
            vars(self)["_done_callbacks"] = kept

    def _is_reached(self) -> bool:
        """Return whether the engine has the outcome; for a task that is not done."""
        if self._is_published:
            return False
        try:
            return self._engine.is_reached(self._job)
        except WrongProcess:
            self._disown()
            return True

    def _wait(self, timeout: float | None) -> bool:
        """Wait until the task is done, or `timeout` seconds have passed; return whether it is."""
        if self._state in _DONE:
            return True
        if not self._is_published:
            try:
                if not self._engine.wait(self._job, None, timeout):
                    return False
                self._settle()
            except WrongProcess:
                self._disown()
            if self._state in _DONE:
                return True
        if timeout is not None:
            if timeout != timeout:
                raise ValueError("timeout must be a number of seconds or None, not nan")
            timeout = min(timeout, threading.TIMEOUT_MAX)
        with self._condition:
            return self._condition.wait_for(lambda: self._state in _DONE, timeout)

    def _outcome(self) -> T:
        """Return or raise the outcome of a task that is done."""
        try:
            # The base class takes an exception that is false for none.
            if self._exception is not None:
                raise self._exception
            if self._state != FINISHED:
                raise futures.CancelledError
            return self._result  # type: ignore[return-value]
        finally:
            # The traceback would hold this frame, and so the task, in a circle.
            del self

    def _settle_if_over(self) -> None:
        if self._state not in _DONE:
            try:
                over = self._engine.is_reached(self._job)
            except WrongProcess:
                self._disown()
            else:
                if over:
                    self._settle()

    def _settle(self, fetch: Callable[[], T] | None = None) -> None:
        """Take the outcome over from the engine, which has it, unless that was done before.

        Args:
            fetch: returns or raises another outcome.
        """
        result: T | None = None
        error: BaseException | None = None
        interrupt: KeyboardInterrupt | None = None
        cancelled = False
        with self._lock:
            if self._claimed or self._is_taking:
                return
            self._is_taking = True
            try:
                result = self._fetch() if fetch is None else fetch()
            except CallCancelled:
                cancelled = True
            except KeyboardInterrupt as raised:
                # A task's own is a TaskExited.
                interrupt = raised
                error = RuntimeError(
                    "Ctrl-C interrupted the unpickling of the result, which is lost"
                )
            except BaseException as raised:
                error = self._converted(raised).with_traceback(None)
            finally:
                self._is_taking = False
            self._claimed = True
            # The engine has descriptors and memory for as long as anybody has it.
            self._engine = _OVER
            if not self._is_published:
                self._result = result
                self._exception = error
                self._state = CANCELLED_AND_NOTIFIED if cancelled else FINISHED
                if interrupt is not None:
                    raise interrupt
                return
            if cancelled:
                # As of now, for the thread that has cancelled it.
                self._state = CANCELLED
        # From here on without the lock, for callbacks run.
        if cancelled:
            self._become_cancelled()
        else:
            self._finish(result, error)
        self._completions.forget(self._job)
        if interrupt is not None:
            raise interrupt

    def _is_told(self) -> bool:
        """Return whether a forked child finds the task done as it is, callbacks apart."""
        return self._state in (FINISHED, CANCELLED_AND_NOTIFIED)

    def _fail(self, error: BaseException) -> None:
        """Settle a task that the thread cannot settle any more."""

        def fetch() -> T:
            raise error

        self._settle(fetch)
        if self._state not in _DONE:
            self._finish(None, self._converted(error))

    def _fetch(self) -> T:
        """Take the result from the engine, or raise what it says."""
        taken = self._engine.take_only(self._job)
        assert taken is not None, "the job is over"
        return taken[0]  # type: ignore[no-any-return]

    def _converted(self, error: BaseException) -> BaseException:
        """Return the exception that this task has for one that the engine raises."""
        return error

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        """Tell everybody that the task is done."""
        if error is not None:
            guarded(self.set_exception, error)
        else:
            guarded(self.set_result, result)

    def _become_cancelled(self) -> None:
        with self._condition:
            self._condition.notify_all()
        guarded(self._invoke_callbacks)  # type: ignore[attr-defined]
        self.set_running_or_notify_cancel()

    def _disown(self) -> None:
        """Fail in a forked child of the owner, where no thread settles it."""
        # A thread that does not exist here may have had the locks.
        self._lock = threading.RLock()
        vars(self).pop("_condition", None)
        self._is_published = False
        if self._state == CANCELLED:
            # This is what a thread that waits for it looks for.
            self._state = CANCELLED_AND_NOTIFIED
        elif self._state not in _DONE:
            self._exception = self._converted(wrong_process(self._completions.owner))
            self._state = FINISHED
        self._claimed = True
        self._engine = _OVER
        self._add_condition()

    def __del__(self) -> None:
        if not self._claimed:
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


class _Over:
    """What stands for the engine in a task that is settled."""

    def wait(self, *_: object) -> bool:
        return True

    is_reached = wait

    def notify(self, _: int) -> bool:
        return False

    is_handed = notify

    def cancel(self, _: object) -> int:
        return 0


_OVER: Any = _Over()
