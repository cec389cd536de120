"""`concurrent.futures.ProcessPoolExecutor` on millpond's engine."""

from __future__ import annotations

import time
import weakref
from collections import deque
from concurrent import futures
from itertools import islice

from millpond._dispatcher import Dispatcher
from millpond._futures import Call, Future
from millpond._version import load_engine
from millpond._worker import CALL, STARMAP
from millpond.pool import Pool, _check_tasks, _checked_processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.context import BaseContext
    from typing import Any, ParamSpec, TypeVar

    from millpond._members import PoolWorker

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["ProcessPoolExecutor"]


class _WorkerPool(Pool):
    """The pool of an executor: its workers may start processes themselves."""

    _of_executor = True


class _FragilePool(_WorkerPool):
    """One that breaks when a worker dies."""

    _fragile = True


class ProcessPoolExecutor(futures.Executor):
    """An executor that runs calls in worker processes.

    It has the interface of `concurrent.futures.ProcessPoolExecutor`, and goes on when a worker
    dies: the call that the worker was running fails with `WorkerCrashed`, which here is a
    `BrokenProcessPool` too, and all others are done.

    Args:
        max_workers: how many workers; by default as many as this process may use CPUs.
        mp_context: where the start method comes from; the default context by default.
        initializer: called in each worker before its first call. If it raises, the executor is
            broken.
        initargs: the initializer's arguments.
        max_tasks_per_child: calls (or chunks of them) after which a worker is replaced by a fresh
            one; never by default. It goes with every start method. As in the standard library,
            workers are spawned if it is given and `mp_context` is not.
        break_on_crash: have the death of a worker break the executor, as in the standard library:
            all futures that are not done, and calls of `submit` after that, fail with
            `BrokenProcessPool`. For programs that rely on all workers having the same state.

    Raises:
        ValueError: a number is out of range.
        TypeError: an argument is not what it should be.

    Example:
        >>> import millpond
        >>> with millpond.ProcessPoolExecutor(2) as executor:
        ...     executor.submit(pow, 2, 10).result()
        ...     list(executor.map(abs, [-1, 2, -3]))
        1024
        [1, 2, 3]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        break_on_crash: bool = False,
    ) -> None:
        load_engine()
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._max_workers = _checked_processes(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None and not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        _check_tasks_per_child(max_tasks_per_child)
        self._mp_context = _context(mp_context, max_tasks_per_child)
        self._max_tasks_per_child = max_tasks_per_child
        kind = _FragilePool if break_on_crash else _WorkerPool
        settings = (self._max_workers, initializer, tuple(initargs), max_tasks_per_child)
        context = self._mp_context
        self._dispatcher = Dispatcher(lambda: kind(*settings, context), self._max_workers)
        # Collected, it has done what it was asked for.
        weakref.finalize(self, self._dispatcher.release).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`, and return the future of its result.

        The future can be awaited, too. It can be cancelled until a worker begins the call.

        Raises:
            RuntimeError: the executor was shut down, or the interpreter is about to end.
            BrokenProcessPool: the executor is broken, or belongs to another process.
            OSError: the system refuses the workers that the first call starts.

        Example:
            >>> import millpond
            >>> with millpond.ProcessPoolExecutor(1) as executor:
            ...     executor.submit(int, "ff", base=16).result()
            255
        """
        return self._submit(fn, CALL, (args, kwargs or None), 1, 0)

    def _submit(
        self, function: Callable[..., Any], op: int, arguments: Any, items: int, first: int
    ) -> Future[Any]:
        call = Call(function, op, arguments, items, first, self._dispatcher.take_back)
        self._dispatcher.submit(call)
        return call.future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Return an iterator over `fn` of the items of `iterables`, in order.

        Args:
            fn: what to call, with an item of each iterable.
            iterables: the items; read to their end at once, unless there is a `buffersize`.
            timeout: how many seconds after this call the last result must be there.
            chunksize: items that travel and fail together.
            buffersize: chunks whose results have not been taken, at most: the iterables are read
                as results are taken, so they may be endless. Without limit if None.

        Raises:
            TimeoutError: from the iterator, when the timeout ran out.
            WorkerCrashed: from the iterator, when the worker died.
            ValueError: `chunksize` or `buffersize` is less than 1.

        Example:
            >>> import itertools, millpond
            >>> with millpond.ProcessPoolExecutor(2) as executor:
            ...     powers = executor.map(pow, itertools.count(), itertools.repeat(2), buffersize=4)
            ...     list(itertools.islice(powers, 5))
            [0, 1, 4, 9, 16]
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        pending = deque(
            self._submit(fn, STARMAP, chunk, len(chunk), first)
            for chunk, first in islice(chunks, buffersize)
        )
        # The iterator alone does not keep the executor.
        return _results(pending, end, chunks, fn, weakref.ref(self))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the workers when those that there are have been done.

        Args:
            wait: return only then.
            cancel_futures: cancel the calls that no worker has begun.

        Example:
            >>> import millpond
            >>> executor = millpond.ProcessPoolExecutor(1)
            >>> future = executor.submit(abs, -1)
            >>> executor.shutdown()
            >>> future.done()
            True
        """
        dispatcher = self._dispatcher
        dispatcher.close()
        if dispatcher.is_foreign():
            return
        if cancel_futures:
            dispatcher.cancel_all()
        dispatcher.release()
        if wait:
            dispatcher.join()

    def terminate_workers(self) -> None:
        """Shut down without waiting, and end the workers by SIGTERM, whatever they run.

        Futures that are not done are cancelled, or fail with `BrokenProcessPool`.
        """
        self._force(kill=False)

    def kill_workers(self) -> None:
        """Like `terminate_workers`, by SIGKILL."""
        self._force(kill=True)

    def _force(self, *, kill: bool) -> None:
        workers = list((self._processes or {}).values()) if kill else []
        self.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        pool = self._dispatcher.pool
        if pool is not None and not self._dispatcher.is_foreign():
            pool._engine.terminate()

    @property
    def _processes(self) -> dict[int, PoolWorker] | None:
        """The workers by pid, as in the standard library; None after `shutdown`."""
        dispatcher = self._dispatcher
        pool = dispatcher.pool
        if dispatcher.closing:
            return None
        if pool is None or dispatcher.is_foreign():
            return {}
        return {worker.pid: worker for worker in pool._pool if worker.pid is not None}

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        return None if self._dispatcher.closing else self._dispatcher.thread

    @property
    def _broken(self) -> str | bool:
        return self._dispatcher.broken or False


def _check_tasks_per_child(number: int | None) -> None:
    if number is not None and number <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")
    _check_tasks(number)


def _context(context: Any, max_tasks_per_child: int | None) -> BaseContext:
    if context is None:
        from millpond.context import _default_context

        # What is not asked for is as in the standard library.
        context = _default_context.get_context(None if max_tasks_per_child is None else "spawn")
    elif not hasattr(context, "get_start_method"):
        raise TypeError(
            f"mp_context must be a context, not {context!r}: "
            "millpond.get_context('spawn') returns one"
        )
    fixed: BaseContext = context.get_context()
    return fixed


def _chunks(items: Iterator[Any], size: int) -> Iterator[tuple[list[Any], int]]:
    """Cut the items into lists, each with the place of its first item."""
    first = 0
    while chunk := list(islice(items, size)):
        yield chunk, first
        first += len(chunk)


def _results(
    pending: deque[Future[Any]],
    end: float | None,
    chunks: Iterator[tuple[list[Any], int]],
    fn: Callable[..., Any],
    executor_ref: weakref.ref[ProcessPoolExecutor],
) -> Iterator[Any]:
    """Yield the results of chunks, and submit another chunk for each."""
    try:
        while pending:
            left = None if end is None else max(end - time.monotonic(), 0)
            values = pending[0].result(left)
            pending.popleft()
            executor = executor_ref()
            if executor is not None:
                for chunk, first in islice(chunks, 1):
                    pending.append(executor._submit(fn, STARMAP, chunk, len(chunk), first))
            del executor
            values.reverse()
            while values:
                # Nothing is kept of what was taken.
                yield values.pop()
    finally:
        for future in pending:
            future.cancel()
