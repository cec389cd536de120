"""Results of a pool's calls that are not there yet."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from concurrent.futures._base import CANCELLED
from multiprocessing import TimeoutError
from multiprocessing import pool as _stdlib
from types import GenericAlias
from typing import TypeVar

from millpond._futures.task import Task, guarded
from millpond._pool.progress import OpenJobs, Over, tasks_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from millpond._pool.calls import Calls
    from millpond._pool.input import Input

__all__ = ["AsyncResult", "IMapIterator", "IMapUnorderedIterator", "MapResult"]

T = TypeVar("T")


class AsyncResult(Task[T], _stdlib.ApplyResult[T]):
    """The result of `apply_async`: ask for it with `get`, or await it in a coroutine.

    It is a `concurrent.futures.Future` too, for `wait`, `as_completed` and `add_done_callback`. No
    thread waits for each result that is awaited. A coroutine that is cancelled while it waits
    leaves the call as it is.

    Example:
        >>> import asyncio, millpond
        >>> with millpond.Pool(1) as pool:
        ...     pool.apply_async(pow, (2, 10)).get(timeout=10)
        1024
        >>> async def main():
        ...     with millpond.Pool(2) as pool:
        ...         return await pool.apply_async(pow, (2, 5)), await pool.map_async(abs, [-1, -2])
        >>> asyncio.run(main())
        (32, [1, 2])
    """

    __module__ = "millpond.pool"

    _callback: Callable[[Any], object] | None = None
    _error_callback: Callable[[Any], object] | None = None

    def __init__(self, pool: Calls, job: int) -> None:
        # No call of the standard library's: its state is the engine's here.
        Task.__init__(self, pool._completions, pool._engine, job)
        self._pool = pool

    def _set_callbacks(
        self,
        callback: Callable[[T], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        """Have something called when the call is over, before anybody learns that it is."""
        self._callback = callback
        self._error_callback = error_callback
        # Nobody but the thread takes the outcome of a published task, and nobody else has this one.
        self._publish()

    def _call_back(self) -> None:
        error = CancelledError() if self._state == CANCELLED else self._exception
        callback, outcome = self._callback, self._result
        if error is not None:
            callback, outcome = self._error_callback, error
        if callback is not None:
            guarded(callback, outcome)

    def ready(self) -> bool:
        """Return whether the call is over."""
        return self.done()

    def successful(self) -> bool:
        """Return whether the call ended without an exception.

        Raises:
            ValueError: the call is not over.
        """
        if not self.done():
            raise ValueError(f"{self!r} not ready")
        return not self.cancelled() and self._exception is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the call is over, or `timeout` seconds have passed."""
        self._wait(timeout)

    def get(self, timeout: float | None = None) -> T:
        """Return the result when it is there, or raise what the call raised.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            multiprocessing.TimeoutError: the timeout ran out first.
            WorkerCrashed: the worker died while it had the task.
            concurrent.futures.CancelledError: the call was cancelled.
        """
        try:
            return self._outcome(timeout, TimeoutError)
        finally:
            # The traceback holds this frame, and those of callers with the arguments, in a circle.
            del self

    # What programs that show progress look at in the standard library's.

    @property
    def _event(self) -> Over:
        return Over(self)

    @property
    def _cache(self) -> OpenJobs:
        return OpenJobs(self._pool._engine)


class MapResult(AsyncResult[list[T]], _stdlib.MapResult[T]):
    """The result of `map_async` or `starmap_async`: a list, in the order of the items."""

    __module__ = "millpond.pool"

    def __init__(self, pool: Calls, job: int, chunksize: int) -> None:
        super().__init__(pool, job)
        self._chunksize = chunksize

    def cancel(self) -> bool:
        """Give up the result, and keep the chunks that no worker has begun from running.

        Returns:
            whether the call was not over by then.
        """
        if not self._is_reached():
            self._engine.give_up(self._job)
        return self.cancelled()

    @property
    def _number_left(self) -> int:
        """How many chunks are not done, as in the standard library."""
        return tasks_left(self._pool._engine, self._job)


if TYPE_CHECKING:
    from multiprocessing.pool import IMapIterator as _StdlibIterator
    from multiprocessing.pool import IMapUnorderedIterator as _StdlibUnordered
else:

    class _StdlibIterator(_stdlib.IMapIterator):
        __class_getitem__ = classmethod(GenericAlias)

    class _StdlibUnordered(_stdlib.IMapUnorderedIterator, _StdlibIterator):
        pass


class IMapIterator(_StdlibIterator[T]):
    """The results of `imap`, in the order of the items.

    The input is read ahead of them: so much that the workers are busy, and no further. See
    `millpond._pool.input` for when it is read on although nobody takes results.
    """

    __module__ = "millpond.pool"

    def __init__(self, pool: Calls, job: int, chunksize: int, input: Input) -> None:
        # No call of the base class's: its state is the engine's here.
        self._pool = pool
        self._engine = pool._engine
        self._job = job
        self._chunksize = chunksize
        self._buffer: list[T] = []
        self._lock = threading.RLock()
        self._input = input

    def __iter__(self) -> IMapIterator[T]:
        return self

    def next(self, timeout: float | None = None) -> T:
        """Return the next result, or raise what its task raised.

        A `StopIteration` of a task is raised as it is, as in the standard library, and looks like
        the end to a loop; in chunks of several items it is the cause of a `RuntimeError`.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            StopIteration: there are no more.
            multiprocessing.TimeoutError: the timeout ran out first.
            ValueError: the rest was not read because the pool was joined, or `timeout` is nan.
        """
        if not self._lock.acquire(blocking=False):
            # In a forked child this raises; who has the lock may not exist there.
            self._engine.is_reached(self._job)
            if not self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
                message = f"no result after {timeout} s: another thread is waiting for one"
                raise TimeoutError(message)
        try:
            if self._buffer:
                return self._buffer.pop()
            self._input.advance()
            if not self._engine.wait(self._job, self._awaited(), timeout):
                raise TimeoutError(f"no result after {timeout} s")
            results = self._take()
            if self._chunksize == 1:
                return results[0]
            self._buffer = results[::-1]
            return self._buffer.pop()
        finally:
            self._lock.release()

    __next__ = next

    def _awaited(self) -> int:
        """Return the number of the chunk whose results come next; -1 for whichever is there."""
        return self._input.taken

    def _take(self) -> list[T]:
        taken = self._engine.take(self._job, self._awaited(), self._chunksize)
        if taken is None:
            self._input.check_end()
            raise StopIteration
        self._input.took()
        results, error = taken
        try:
            if error is None:
                return results  # type: ignore[no-any-return]
            if isinstance(error, StopIteration) and self._chunksize > 1:
                raise RuntimeError("a task raised StopIteration") from error
            raise error
        finally:
            # The traceback holds this frame, and so the exception, in a circle.
            del error, taken

    # What programs that show progress look at in the standard library's.

    @property
    def _index(self) -> int:
        """How many results are there, taken or not, one for each chunk."""
        submitted, unfinished, _ = self._engine.progress(self._job) or (self._input.taken, 0, True)
        if self._input.taken == 0:
            # Nobody takes results as long as the program only looks how far it is.
            self._input.read_on()
        return submitted - unfinished

    @property
    def _length(self) -> int | None:
        """How many there will be, once that is known."""
        return self._input.length

    def __del__(self) -> None:
        if hasattr(self, "_input"):
            self._input.drop()


class IMapUnorderedIterator(IMapIterator[T], _StdlibUnordered[T]):
    """The results of `imap_unordered`, as they come."""

    __module__ = "millpond.pool"

    def _awaited(self) -> int:
        return -1
