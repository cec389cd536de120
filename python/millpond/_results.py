"""Results of a pool's calls that are not there yet."""

from __future__ import annotations

import itertools
import threading
from multiprocessing import TimeoutError
from multiprocessing import pool as _stdlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

    from millpond.pool import Pool

__all__ = ["AsyncResult", "IMapIterator", "IMapUnorderedIterator", "MapResult"]


class AsyncResult(_stdlib.ApplyResult):  # type: ignore[type-arg]
    """The result of `apply_async`: ask for it with `get`, or await it in a coroutine.

    No thread waits for each result that is awaited. A coroutine that is cancelled while it waits
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

    def __init__(self, pool: Pool, job: int) -> None:
        # No call of the base class's: its state is the engine's here.
        self._pool = pool
        self._engine = pool._engine
        self._job = job
        self._taken = False
        self._success = False
        self._value: Any = None
        self._lock = threading.Lock()

    def ready(self) -> bool:
        """Return whether the call is over."""
        return self._taken or self._engine.is_reached(self._job)

    def successful(self) -> bool:
        """Return whether the call ended without an exception.

        Raises:
            ValueError: the call is not over.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        self._take()
        return self._success

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the call is over, or `timeout` seconds have passed."""
        if not self._taken:
            self._engine.wait(self._job, None, timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Return the result when it is there, or raise what the call raised.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            multiprocessing.TimeoutError: the timeout ran out first.
            WorkerCrashed: the worker died while it had the task.
        """
        if not self._taken:
            if not self._engine.wait(self._job, None, timeout):
                raise TimeoutError(f"the call is not over after {timeout} s")
            self._take()
        if self._success:
            return self._value
        try:
            raise self._value
        finally:
            # The traceback would hold this frame, and so the result, in a circle.
            del self

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.ready():
            import asyncio

            loop = asyncio.get_running_loop()
            over = loop.create_future()

            def settle() -> None:
                if not over.done():
                    over.set_result(None)

            def tell() -> None:
                try:
                    loop.call_soon_threadsafe(settle)
                except RuntimeError:
                    # The loop was closed, and whoever awaited this with it.
                    pass

            self._call_when_ready(tell)
            try:
                yield from over
            finally:
                self._do_not_call(tell)
        return self.get()

    def _call_when_ready(self, action: Callable[[], None]) -> None:
        """Have something done in the pool's callback thread once the call is over."""
        self._pool._callbacks.add_later(self._job, action)

    def _do_not_call(self, action: Callable[[], None]) -> None:
        self._pool._callbacks.discard(self._job, action)

    def _take(self) -> None:
        with self._lock:
            if self._taken:
                return
            try:
                self._value = self._fetch()
                self._success = True
            except BaseException as error:
                self._value = error.with_traceback(None)
            self._taken = True

    def _fetch(self) -> Any:
        return _only(self._engine.take_only(self._job))

    def __del__(self) -> None:
        if not getattr(self, "_taken", True):
            self._engine.abandon(self._job)


def _only(taken: tuple[Any] | None) -> Any:
    """Return the result that the engine took, which was waited for."""
    assert taken is not None, "the task has an outcome"
    return taken[0]


class MapResult(AsyncResult):
    """The result of `map_async` or `starmap_async`: a list, in the order of the items."""

    def __init__(self, pool: Pool, job: int, chunksize: int) -> None:
        super().__init__(pool, job)
        self._chunksize = chunksize

    def _fetch(self) -> Any:
        return self._engine.take_all(self._job, self._chunksize)


class Callbacks:
    """Makes the results of a pool that have callbacks, in one thread, as they come in.

    The thread starts with the first callback and ends with the pool.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        # Held from before a job begins until it is said what to do when it is over.
        self.lock = threading.RLock()
        self._waiting: dict[int, list[Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None

    def add(self, job: int, action: Callable[[], None]) -> None:
        """Have the thread do something when the job is over; the caller holds the lock.

        The job began with the wish to be told of.
        """
        self._waiting.setdefault(job, []).append(action)
        self._start()

    def add_later(self, job: int, action: Callable[[], None]) -> None:
        """Have something done when a job is over that began without that wish; or now."""
        with self.lock:
            asked = job in self._waiting or self._engine.notify(job)
            if asked:
                self.add(job, action)
        if not asked:
            action()

    def discard(self, job: int, action: Callable[[], None] | None = None) -> None:
        """Forget what was to be done when the job is over, all of it or one thing."""
        with self.lock:
            if action is None:
                self._waiting.pop(job, None)
            elif action in (actions := self._waiting.get(job, [])):
                actions.remove(action)

    def _start(self) -> None:
        if self._thread is None:
            name = "millpond-callbacks"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait until every callback was called, once the pool has ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while (job := self._engine.wait_notified()) is not None:
            with self.lock:
                actions = self._waiting.pop(job, [])
            for action in actions:
                action()


class _WithCallbacks:
    """A result that calls back before it is ready, as in `multiprocessing`."""

    _done: threading.Event
    _awaiting: list[Callable[[], None]]
    _callback: Callable[[Any], object] | None
    _error_callback: Callable[[BaseException], object] | None

    def _call_back(self: Any) -> None:
        self._take()
        callback = self._callback if self._success else self._error_callback
        try:
            if callback is not None:
                callback(self._value)
        except BaseException as error:
            # Whoever waits for the result must not wait for ever.
            threading.excepthook(
                threading.ExceptHookArgs((type(error), error, None, threading.current_thread()))
            )
        finally:
            with self._lock:
                self._done.set()
                awaiting = tuple(self._awaiting)
            for action in awaiting:
                action()

    def _call_when_ready(self: Any, action: Callable[[], None]) -> None:
        with self._lock:
            done = self._done.is_set()
            if not done:
                self._awaiting.append(action)
        if done:
            action()

    def _do_not_call(self: Any, action: Callable[[], None]) -> None:
        with self._lock:
            if action in self._awaiting:
                self._awaiting.remove(action)

    def ready(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> None:
        self._done.wait(timeout)

    def get(self: Any, timeout: float | None = None) -> Any:
        if not self._done.wait(timeout):
            raise TimeoutError(f"the call is not over after {timeout} s")
        return super().get()  # type: ignore[misc]


class CallbackResult(_WithCallbacks, AsyncResult):
    """An `AsyncResult` with callbacks."""


class CallbackMapResult(_WithCallbacks, MapResult):
    """A `MapResult` with callbacks."""


def with_callbacks(
    result: Any,
    callbacks: Callbacks,
    callback: Callable[[Any], object] | None,
    error_callback: Callable[[BaseException], object] | None,
) -> None:
    """Have a result's callbacks called when its job is over."""
    result._done = threading.Event()
    result._awaiting = []
    result._callback = callback
    result._error_callback = error_callback
    callbacks.add(result._job, result._call_back)


class IMapIterator(_stdlib.IMapIterator):  # type: ignore[type-arg]
    """The results of `imap`, in the order of the items.

    Items are taken from the input as results are taken from this: so much ahead that the workers
    are busy, and no further. `Pool.join` takes the rest.
    """

    def __init__(
        self, pool: Pool, job: int, op: int, items: Iterator[Any], chunksize: int, window: int
    ) -> None:
        # No call of the base class's: its state is the engine's here.
        self._pool = pool
        self._engine = pool._engine
        self._job = job
        self._op = op
        self._items = items
        self._chunksize = chunksize
        self._window = window
        # The input is read in batches, but before the workers run dry.
        self._refill = max(window // 4, 1)
        self._submitted = 0
        self._next = 0
        self._exhausted = False
        self._input_error: BaseException | None = None
        self._buffer: list[Any] = []
        self._lock = threading.RLock()
        self._feed(window)

    def __iter__(self) -> IMapIterator:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """Return the next result, or raise what its task raised.

        Args:
            timeout: in seconds; without limit if None.

        Raises:
            StopIteration: there are no more.
            multiprocessing.TimeoutError: the timeout ran out first.
        """
        if not self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            raise TimeoutError(f"no result after {timeout} s: another thread is waiting for one")
        try:
            if self._buffer:
                return self._buffer.pop()
            missing = self._next + self._window - self._submitted
            if missing >= self._refill:
                self._feed(missing)
            if self._next >= self._submitted:
                self._finish()
            if not self._engine.wait(self._job, self._index(), timeout):
                raise TimeoutError(f"no result after {timeout} s")
            results = self._take()
            if self._chunksize == 1:
                return results[0]
            self._buffer = results[::-1]
            return self._buffer.pop()
        finally:
            self._lock.release()

    __next__ = next

    def _index(self) -> int:
        return self._next

    def _take(self) -> Any:
        index = self._next
        self._next += 1
        taken = self._engine.take(self._job, index, index * self._chunksize)
        return _only(taken)

    def _finish(self) -> None:
        error, self._input_error = self._input_error, None
        if error is not None:
            raise error
        raise StopIteration

    def _feed(self, count: int) -> None:
        """Submit so many more chunks, or as many as there are."""
        if self._exhausted or count <= 0:
            return
        items: list[Any] = []
        wanted = count * self._chunksize
        try:
            for item in itertools.islice(self._items, wanted):
                # One by one: whole chunks that came before an exception of the input count.
                items.append(item)
        except Exception as error:
            self._input_error = error
            # As in the standard library, the chunk that the error broke off is not worked on.
            del items[len(items) - len(items) % self._chunksize :]
        except BaseException:
            # Ctrl-C: nothing more will come, and nobody is to wait for it.
            self._exhaust()
            raise
        self._exhausted = len(items) < wanted
        try:
            self._submitted += self._engine.extend(self._job, self._op, items, self._chunksize)
        except BaseException:
            self._exhaust()
            raise
        if self._exhausted:
            self._exhaust()

    def _exhaust(self) -> None:
        self._exhausted = True
        self._engine.seal(self._job)
        self._pool._unfed.discard(self)
        self._pool._unfed_inputs.discard(self)

    def _feed_all(self) -> None:
        """Submit all that is left of the input, wanted or not; for `join`."""
        with self._lock:
            while not self._exhausted:
                self._feed(self._window)

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            self._engine.abandon(self._job)


class IMapUnorderedIterator(IMapIterator):
    """The results of `imap_unordered`, as they come."""

    def _index(self) -> int:
        return -1

    def _take(self) -> Any:
        self._next += 1
        return _only(self._engine.take_next(self._job, self._chunksize))
