"""`concurrent.futures.ProcessPoolExecutor` on millpond's engine."""

from __future__ import annotations

# Where it is installed, millpond's pool comes with that module, whole; its parts cannot come first.
import multiprocessing.pool  # noqa: F401
import os
import threading
import time
import weakref
from collections import deque
from concurrent import futures
from contextlib import nullcontext
from functools import partial
from itertools import islice
from typing import ParamSpec, TypeVar

from millpond._engine_loader import load_engine
from millpond._futures.completions import Completions, finish_all
from millpond._futures.exceptions import BrokenExecutor, as_of_future, foreign
from millpond._futures.task import OVER, Task
from millpond._limits import engine_has_room
from millpond._pool.call_numbers import CallNumbers
from millpond._pool.launch import checked_preload
from millpond._pool.options import OPTIONS, of_constructor, shown
from millpond._pool.settings import SETTINGS, Settings
from millpond._pool.size import Size
from millpond._pool.stdlib_pool import zygote_can_make
from millpond._pool.worker import CALL, SEEDED, STARMAP
from millpond.exceptions import BrokenPool, PoolFull, WrongProcess
from millpond.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from multiprocessing.context import BaseContext
    from typing import Any, Self, Unpack

    from millpond._pool.options import Options, TaskOptions
    from millpond._pool.settings import PoolOptions
    from millpond._pool.timeline import Stats
    from millpond._pool.worker_registry import PoolWorker

__all__ = ["Future", "ProcessPoolExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

_CLOSED = "Pool not running"
"""What the engine says when a pool takes no more calls."""
_NO_LOCK = nullcontext()


class Future(Task[T]):
    """The outcome of a call of an executor: a `concurrent.futures.Future`.

    It can be awaited, too, and cancelled until a worker begins the call. A coroutine that is
    cancelled while it waits cancels the call.

    Example:
        >>> import millpond
        >>> with millpond.ProcessPoolExecutor(1) as executor:
        ...     executor.submit(pow, 2, 10).result(timeout=10)
        1024
    """

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        try:
            return (yield from super().__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _converted(self, error: BaseException) -> BaseException:
        if isinstance(error, WrongProcess):
            return foreign(self._completions.owner)
        return as_of_future(error)


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
        max_workers: how many workers; by default as many as this process may use CPUs. With
            `(least, most)` the executor grows while more calls wait than there are workers, and
            shrinks when workers have nothing to do; see also `resize`.
        mp_context: where the start method comes from; the default context by default. If its
            processes are of a class that a pool's zygote cannot make, the executor is the standard
            library's.
        initializer: called in each worker before its first call. If it raises, the executor is
            broken.
        initargs: the initializer's arguments.
        max_tasks_per_child: calls (or chunks of them) after which a worker is replaced by a fresh
            one; never by default. It goes with every start method. As in the standard library,
            workers are spawned if it is given and `mp_context` is not.
        break_on_crash: have the death of a worker break the executor, as in the standard library:
            all futures that are not done, and calls of `submit` after that, fail with
            `BrokenProcessPool`. For programs that rely on all workers having the same state.
        preload: names of modules that are imported once, before workers are forked, and not in
            each, as for `millpond.Pool`.
        idle_timeout: seconds after which a worker leaves that has nothing to do, as long as there
            are more than `least`; 10 by default.
        max_pending: how many calls may wait, beside one for each worker that there may be; any
            number by default.
        when_full: what `submit` and `map` do when more would wait: "block", which does not hold
            callbacks up, or "raise" `PoolFull`.
        ageing: seconds after which a call that waits is worth as much as one that comes then and
            has the next higher priority; 60 by default, `math.inf` for never.
        env, cwd, niceness, finalizer, blas_threads, seed: what workers set themselves up with, as
            for `millpond.Pool`.
        options: for all calls of the executor what `options` has for some.

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

    # To type checkers, a call of the class returns one of it.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        context = kwargs.get("mp_context", args[1] if len(args) > 1 else None)
        foreign = hasattr(context, "get_start_method") and not zygote_can_make(context)
        if foreign or not engine_has_room():
            if cls is not ProcessPoolExecutor:
                raise TypeError(f"{cls.__name__} cannot have the processes of {context!r}")
            for name in kwargs.keys() & (OPTIONS | SETTINGS):
                raise ValueError(
                    f"{name}: this is an executor of the standard library's, as {context!r} makes "
                    "other processes than multiprocessing, or files may not be large (ulimit -f)"
                )
            # A death breaks that one, and there is nothing to be preloaded.
            kwargs = {k: v for k, v in kwargs.items() if k not in ("break_on_crash", "preload")}
            return futures.ProcessPoolExecutor(*args, **kwargs)  # type: ignore[return-value]
        return super().__new__(cls)

    def __init__(
        self,
        max_workers: int | tuple[int, int] | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        break_on_crash: bool = False,
        preload: Iterable[str] | None = None,
        **options: Unpack[PoolOptions],
    ) -> None:
        load_engine()
        settings = Settings.taken_from(options)
        self._breaks = break_on_crash
        self._options = self._checked(of_constructor(options, "ProcessPoolExecutor"))
        if max_workers is not None and not isinstance(max_workers, tuple) and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._numbers = None if settings.seed is None else CallNumbers()
        self._size = Size.checked(max_workers, settings.idle_timeout, "max_workers")
        self._max_workers = self._size.most
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None and not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child is not None and max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        self._mp_context = _context(mp_context, max_tasks_per_child)
        self._max_tasks_per_child = max_tasks_per_child
        self._make_pool = partial(
            _FragilePool if break_on_crash else _WorkerPool,
            initializer=initializer,
            initargs=tuple(initargs),
            maxtasksperchild=max_tasks_per_child,
            context=self._mp_context,
            preload=checked_preload(preload),
            **(settings._replace(idle_timeout=None).changes()),
        )
        # Held while the pool is made. Re-entrant: a collection may use the executor meanwhile.
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._completions: Completions | None = None
        self._closing = False

    def __repr__(self) -> str:
        if self._closing:
            state = "shut down"
        elif self._completions is None:
            state = "not started"
        else:
            state = "broken" if self._broken else "running"
        cls = type(self)
        name = f"{cls.__module__}.{cls.__qualname__}"
        size = self._size
        workers = str(size.most) if size.is_fixed else f"({size.least}, {size.most})"
        return f"<{name} at {id(self):#x}, max_workers={workers}, {state}>"

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
        return self._call(self._options, fn, args, kwargs)

    def options(self, **options: Unpack[Options]) -> ExecutorView:
        """Return a view of the executor whose calls have these options.

        They are those of `millpond.pool.Pool.options`.

        Raises:
            TypeError: there is no option of that name, or a value is of a wrong type.
            ValueError: a value is out of range.

        Example:
            >>> import millpond
            >>> with millpond.ProcessPoolExecutor(2) as executor:
            ...     list(executor.options(priority=1).map(abs, [-1, -2]))
            [1, 2]
        """
        return ExecutorView(self, self._checked(self._options.changed(options)))

    def _checked(self, options: TaskOptions) -> TaskOptions:
        """Return options, unless they ask for what an executor that breaks cannot do."""
        if self._breaks and options.retries and not options.is_retrying:
            raise ValueError(
                "retries: with break_on_crash=True the death of a worker breaks the executor, and "
                "nothing is tried again after it; retry_on must name other exceptions"
            )
        return options

    def _call(
        self,
        options: TaskOptions,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Future[Any]:
        number = None if self._numbers is None else self._numbers.take()
        try:
            return self._submit(options, fn, CALL, (args, kwargs or None), 1, 0, number)
        except PoolFull:
            if self._numbers is not None and number is not None:
                self._numbers.give_back(number)
            raise

    def _submit(
        self,
        options: TaskOptions,
        function: Callable[..., Any],
        op: int,
        arguments: Any,
        items: int,
        first: int,
        number: int | None,
    ) -> Future[Any]:
        with self._starting() if self._completions is None else _NO_LOCK:
            completions = self._completions or self._start()
            pool = completions.pool
            if pool is None:
                raise self._refusal()
            engine = pool._engine
            try:
                encoded, label = pool._encode(options.wrapped(function))
                if number is not None:
                    op, arguments = _seeded(op, arguments, number, first)
                job = pool._submit(encoded, label, op, items, arguments, options.engine)
            except PoolFull:
                raise
            except (BrokenPool, WrongProcess) as error:
                raise self._refusal(error) from None
            except Exception as error:
                if isinstance(error, ValueError) and str(error) == _CLOSED:
                    raise self._refusal() from None
                failed: Future[Any] = Future(completions, OVER, -1)
                failed._fail(error)
                return failed
        future: Future[Any] = Future(completions, engine, job)
        if first:
            future._first = first
        return future

    def _starting(self) -> threading.RLock:
        """Return the lock under which the first call makes the pool."""
        if self._is_foreign():
            raise self._refusal()
        # Before the lock is taken, which a child that is forked meanwhile must not wait for.
        self._owner = os.getpid()
        return self._lock

    def _start(self) -> Completions:
        if self._closing:
            raise self._refusal()
        try:
            least, most, idle_timeout = self._size
            pool = self._make_pool(processes=(least, most), idle_timeout=idle_timeout)
            completions = pool._completions
            try:
                completions.keep(pool)
            except BaseException:
                pool.terminate()
                raise
        except BaseException:
            self._owner = None
            raise
        self._completions = completions
        # An executor that is collected has been asked for everything.
        weakref.finalize(self, completions.close).atexit = False
        return completions

    def _refusal(self, error: BaseException | None = None) -> BaseException:
        """Return why the executor takes no more calls."""
        if self._is_foreign():
            assert self._owner is not None, "it is another process"
            return foreign(self._owner)
        if error is not None or self._broken:
            return BrokenExecutor(str(error or self._broken))
        if self._closing:
            return RuntimeError("cannot schedule new futures after shutdown")
        return RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _is_foreign(self) -> bool:
        """Return whether the pool belongs to another process, of which this one is a child."""
        return self._owner not in (None, os.getpid())

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
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
        return self._map(self._options, fn, iterables, timeout, chunksize, buffersize)

    def _map(
        self,
        options: TaskOptions,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        timeout: float | None,
        chunksize: int,
        buffersize: int | None,
    ) -> Iterator[T]:
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        if options.is_itemized:
            buffersize = buffersize and buffersize * chunksize
            chunksize = 1
        end = None if timeout is None else time.monotonic() + timeout
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        number = None if self._numbers is None else self._numbers.take()

        def submit(executor: ProcessPoolExecutor, chunk: list[Any], first: int) -> Future[Any]:
            return executor._submit(options, fn, STARMAP, chunk, len(chunk), first, number)

        pending: deque[Future[Any]] = deque()
        try:
            for chunk, first in islice(chunks, buffersize):
                pending.append(submit(self, chunk, first))
        except PoolFull:
            # Nobody will have the results of those before it.
            if self._completions is not None:
                self._completions.cancel(pending)
            if self._numbers is not None and number is not None:
                self._numbers.give_back(number)
            raise
        # The iterator alone does not keep the executor.
        executor_ref = weakref.ref(self)
        return _results(pending, end, chunks, submit, options, executor_ref, self._completions)

    def resize(self, max_workers: int | tuple[int, int], idle_timeout: float | None = None) -> None:
        """Have the executor have as many workers from now on; return at once.

        Of those that are too many the longest idle leave first. One that is at a call leaves when
        that is done, and others do what it had not begun: no call is lost, and none is done twice.

        Args:
            max_workers: how many, or the least and the largest number of them.
            idle_timeout: as for the executor; 10 by default.

        Raises:
            RuntimeError: the executor was shut down.
            BrokenProcessPool: it is broken, or belongs to another process.
            ValueError: a number is out of range.

        Example:
            >>> import millpond
            >>> with millpond.ProcessPoolExecutor(1) as executor:
            ...     executor.resize((0, 3), idle_timeout=1)
            ...     executor.submit(abs, -1).result()
            1
        """
        size = Size.checked(max_workers, idle_timeout, "max_workers", at_least=0)
        if self._is_foreign():
            raise self._refusal()
        with self._lock:
            if self._closing:
                raise self._refusal()
            pool = None if self._completions is None else self._completions.pool
            if pool is not None:
                try:
                    pool._engine.resize(size)
                except (BrokenPool, ValueError) as error:
                    raise self._refusal(error) from None
                pool._processes = size.most
            elif self._completions is not None:
                raise self._refusal()
            self._size, self._max_workers = size, size.most

    def stats(self) -> Stats:
        """Return what the executor has done so far, and how many workers it has.

        Raises:
            RuntimeError: it has ended.
        """
        from millpond._pool.timeline import Stats

        if self._completions is None and not self._closing:
            return Stats(0, 0, 0, 0, 0, 0, 0, 0, 0, self._size.least, 0, {})
        pool = None if self._completions is None else self._completions.pool
        if pool is None:
            raise self._refusal()
        return pool.stats()

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
        if self._is_foreign():
            self._closing = True
            return
        with self._lock:
            self._closing = True
        completions = self._completions
        if completions is None:
            return
        if cancel_futures:
            completions.cancel()
        completions.close()
        if wait:
            completions.join()

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
        pool = None if self._completions is None else self._completions.pool
        if pool is not None and not self._is_foreign():
            # Before any worker dies, which would be replaced.
            pool._engine.terminate()
        for worker in workers:
            worker.kill()

    # What programs look at in the standard library's.

    @property
    def _processes(self) -> dict[int, PoolWorker] | None:
        """The workers by pid, as in the standard library; None after `shutdown`."""
        if self._closing:
            return None
        pool = None if self._completions is None else self._completions.pool
        if pool is None or self._is_foreign():
            return {}
        return {worker.pid: worker for worker in pool._pool if worker.pid is not None}

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        if self._closing or self._completions is None:
            return None
        return self._completions.thread

    @property
    def _broken(self) -> str | bool:
        """What broke the executor; False if nothing did."""
        return False if self._completions is None else self._completions.what_broke() or False


class ExecutorView(futures.Executor):
    """An executor whose calls have options; `ProcessPoolExecutor.options` makes it."""

    def __init__(self, executor: ProcessPoolExecutor, options: TaskOptions) -> None:
        self._root = executor
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._root!r}.options({shown(self._options)})>"

    def options(self, **options: Unpack[Options]) -> ExecutorView:
        """Return a view whose calls have these options, and else those that this one has.

        Raises:
            TypeError: there is no option of that name, or a value is of a wrong type.
            ValueError: a value is out of range.
        """
        return ExecutorView(self._root, self._root._checked(self._options.changed(options)))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`; see `ProcessPoolExecutor.submit`."""
        return self._root._call(self._options, fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over `fn` of the items; see `ProcessPoolExecutor.map`."""
        return self._root._map(self._options, fn, iterables, timeout, chunksize, buffersize)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down; see `ProcessPoolExecutor.shutdown`."""
        self._root.shutdown(wait, cancel_futures=cancel_futures)

    def resize(self, max_workers: int | tuple[int, int], idle_timeout: float | None = None) -> None:
        """Resize the executor; see `ProcessPoolExecutor.resize`."""
        self._root.resize(max_workers, idle_timeout)

    def stats(self) -> Stats:
        """Return what the executor has done so far, for all views of it."""
        return self._root.stats()

    def terminate_workers(self) -> None:
        """Shut down, and end the workers; see `ProcessPoolExecutor.terminate_workers`."""
        self._root.terminate_workers()

    def kill_workers(self) -> None:
        """Shut down, and kill the workers; see `ProcessPoolExecutor.kill_workers`."""
        self._root.kill_workers()


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


def _seeded(op: int, arguments: Any, call: int, first: int) -> tuple[int, Any]:
    """Return a task whose items have their numbers; see `millpond._pool.worker.SEEDED`."""
    if op == CALL:
        return CALL | SEEDED, (call, 0, arguments)
    numbered = [(call, first + at, item) for at, item in enumerate(arguments)]
    return op | SEEDED, numbered


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
    submit: Callable[[ProcessPoolExecutor, list[Any], int], Future[Any]],
    options: TaskOptions,
    executor_ref: weakref.ref[ProcessPoolExecutor],
    completions: Completions | None,
) -> Iterator[Any]:
    """Yield the results of chunks, and submit another chunk for each."""
    try:
        while pending:
            left = None if end is None else max(end - time.monotonic(), 0)
            if options.on_error in ("return", "skip"):
                values = _values(pending[0], left, options)
            else:
                values = pending[0].result(left)
            pending.popleft()
            executor = executor_ref()
            if executor is not None:
                for chunk, first in islice(chunks, 1):
                    pending.append(submit(executor, chunk, first))
            del executor
            values.reverse()
            while values:
                # Nothing is kept of what was taken.
                yield values.pop()
    finally:
        if completions is not None:
            completions.cancel(pending)
        # An exception that leaves here would keep all of them, and they the exception.
        pending.clear()


def _values(future: Future[Any], timeout: float | None, options: TaskOptions) -> list[Any]:
    """Return what a future of one item has for the results."""
    error = future.exception(timeout)
    if error is None:
        values: list[Any] = future.result()
        return values
    if isinstance(error, BrokenExecutor):
        raise error
    return [error] if options.on_error == "return" else []


threading._register_atexit(finish_all)  # type: ignore[attr-defined]
