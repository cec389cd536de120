"""A pool of worker processes: `multiprocessing.pool` on millpond's engine."""

from __future__ import annotations

import multiprocessing.pool
import os
import resource
import warnings
import weakref
from contextlib import nullcontext
from multiprocessing import process, util
from multiprocessing.pool import (
    CLOSE,
    INIT,
    RUN,
    TERMINATE,
    ThreadPool,
)

from millpond import _codec, _zygote  # noqa: F401  _zygote: loaded before zygotes are forked
from millpond._launch import SpawnLauncher, launcher
from millpond._members import Members, PoolWorker
from millpond._plan import Plan
from millpond._results import (
    AsyncResult,
    CallbackMapResult,
    CallbackResult,
    Callbacks,
    IMapIterator,
    IMapUnorderedIterator,
    MapResult,
    with_callbacks,
)
from millpond._version import load_engine
from millpond._worker import CALL, MAP, STARMAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from multiprocessing.context import BaseContext
    from types import TracebackType
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._timeline import Stats, Timeline

__all__ = [
    "CLOSE",
    "INIT",
    "RUN",
    "TERMINATE",
    "ApplyResult",
    "AsyncResult",
    "IMapIterator",
    "IMapUnorderedIterator",
    "MapResult",
    "MaybeEncodingError",
    "Pool",
    "RemoteTraceback",
    "ThreadPool",
]

ApplyResult = AsyncResult
# The stubs of the standard library do not know these two.
MaybeEncodingError: Any = vars(multiprocessing.pool)["MaybeEncodingError"]
RemoteTraceback: Any = vars(multiprocessing.pool)["RemoteTraceback"]

_MOST_PROCESSES = 1 << 14
"""Half of what a system with the usual 32768 process ids could have at all."""
_MOST_AHEAD = 256
"""Chunks that `imap` takes from its input before the first result is taken from it, at most."""


class Pool:
    """A pool of worker processes that run functions for this process.

    It has the interface of `multiprocessing.Pool`, and goes on when a worker dies: the task that
    the worker was running raises `WorkerCrashed` in the caller, all others are done.

    Args:
        processes: how many workers; by default as many as this process may use CPUs.
        initializer: called in each worker before its first task. If it raises, the pool is broken:
            calls raise `BrokenPool`.
        initargs: the initializer's arguments.
        maxtasksperchild: tasks (calls, or chunks of items) after which a worker is replaced by a
            fresh one; never by default.
        context: where the start method comes from; the default context by default.
        trace: keep a timeline of which worker did what; see `timeline`.

    Raises:
        ValueError: a number is out of range.
        TypeError: a number is not one, or the initializer is not callable.
        OSError: the system refuses another process.

    Example:
        >>> import millpond
        >>> with millpond.Pool(2) as pool:
        ...     pool.map(len, ["a", "bc", "def"])
        [1, 2, 3]
    """

    _wrap_exception = True
    # What an executor's pool has otherwise.
    _of_executor = False
    _fragile = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        context = kwargs.get("context", args[4] if len(args) > 4 else None)
        if context is not None and not _makes_processes(context):
            # Its workers are not processes of the system, or not ones that a zygote could fork.
            return vars(multiprocessing.pool)["Pool"](*args, **kwargs)
        return super().__new__(cls)

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
        *,
        trace: bool = False,
    ) -> None:
        engine = load_engine()
        self._state = INIT
        self._ctx = context or _default_context()
        self._processes = _checked_processes(processes)
        _check_tasks(maxtasksperchild)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._maxtasksperchild = maxtasksperchild
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._functions = _codec.FunctionEncoder()
        self._plan = Plan(
            self._ctx, self._processes, initializer, self._initargs, self._of_executor
        )
        launch = launcher(self._plan)
        importable = _codec.main_is_importable()
        dumps = _codec.dumps_task if importable else _codec.dumps_task_by_value
        self._engine: Engine = engine.Pool(
            self._processes, maxtasksperchild, trace, self._fragile, launch, dumps, _codec.loads
        )
        self._callbacks = Callbacks(self._engine)
        self._unfed: weakref.WeakSet[IMapIterator] = weakref.WeakSet()
        self._unfed_inputs: set[IMapIterator] = set()
        self._members = Members(self._engine, self._plan, self._processes)
        self._terminate = util.Finalize(
            self,
            _terminate,
            args=(self._engine, self._callbacks, self._members, launch),
            exitpriority=15,
        )
        self._state = RUN

    def __repr__(self) -> str:
        cls = type(self)
        state = self._state
        return f"<{cls.__module__}.{cls.__qualname__} state={state} pool_size={self._processes}>"

    def __del__(self, _warn: Any = warnings.warn, _run: str = RUN) -> None:
        if getattr(self, "_state", None) == _run and self._plan.owner_pid == os.getpid():
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.terminate()

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> Any:
        """Call `func(*args, **kwds)` in a worker and return what it returns.

        Raises:
            WorkerCrashed: the worker died while it had the call.

        Example:
            >>> import millpond
            >>> with millpond.Pool(1) as pool:
            ...     pool.apply(int, ("ff",), {"base": 16})
            255
        """
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """Have a worker call `func(*args, **kwds)`, and return an `AsyncResult`.

        Args:
            func: what to call; a function that does not pickle goes by value.
            args: its arguments.
            kwds: its keyword arguments.
            callback: called with the result, in a thread of this process.
            error_callback: called with the exception if there is one.
        """
        self._check_running()
        function, label = self._encode(func)
        notify = callback is not None or error_callback is not None
        arguments = (tuple(args), dict(kwds) if kwds else None)
        if not notify:
            job = self._engine.submit(function, label, CALL, 1, arguments, False)
            return AsyncResult(self, job)
        with self._callbacks.lock:
            job = self._engine.submit(function, label, CALL, 1, arguments, True)
            result = CallbackResult(self, job)
            with_callbacks(result, self._callbacks, callback, error_callback)
        return result

    def map(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """Return `[func(item) for item in iterable]`, computed by the workers.

        Args:
            func: what to call.
            iterable: the items; read to its end before the first call.
            chunksize: items that travel and fail together; by default a quarter of a worker's
                share.

        Raises:
            WorkerCrashed: a worker died; the results of the others are lost with the call.

        Example:
            >>> import millpond
            >>> with millpond.Pool(2) as pool:
            ...     pool.map(str.upper, "abc")
            ['A', 'B', 'C']
        """
        results: list[Any] = self.map_async(func, iterable, chunksize).get()
        return results

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """Like `map`, each item being the arguments of one call.

        Example:
            >>> import millpond
            >>> with millpond.Pool(2) as pool:
            ...     pool.starmap(pow, [(2, 3), (3, 2)])
            [8, 9]
        """
        results: list[Any] = self.starmap_async(func, iterable, chunksize).get()
        return results

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        """Like `map`, but return an `AsyncResult` at once."""
        return self._map(func, iterable, MAP, chunksize, callback, error_callback)

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        """Like `starmap`, but return an `AsyncResult` at once."""
        return self._map(func, iterable, STARMAP, chunksize, callback, error_callback)

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        op: int,
        chunksize: int | None,
        callback: Callable[[list[Any]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> MapResult:
        self._check_running()
        items = iterable if type(iterable) is list else list(iterable)
        if chunksize is None:
            # Four chunks a worker even the load out, as in the standard library.
            chunksize = -(-len(items) // (self._processes * 4)) or 1
        _check_chunksize(chunksize)
        function, label = self._encode(func)
        notify = callback is not None or error_callback is not None
        with self._callbacks.lock if notify else nullcontext():
            job = self._engine.begin(function, label, True, notify)
            result = (
                CallbackMapResult(self, job, chunksize)
                if notify
                else MapResult(self, job, chunksize)
            )
            if isinstance(result, CallbackMapResult):
                with_callbacks(result, self._callbacks, callback, error_callback)
            try:
                self._engine.extend(job, op, items, chunksize)
                self._engine.seal(job)
            except BaseException:
                # Ctrl-C: a job that never ends would keep `join` waiting.
                self._callbacks.discard(job)
                self._engine.abandon(job)
                raise
        return result

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> IMapIterator:
        """Return an iterator over the results, in order, while they are computed.

        The input is read as the results are taken, so it may be endless. An exception of one item
        is raised in its place, and the iterator goes on behind it.

        Example:
            >>> import itertools, millpond
            >>> with millpond.Pool(2) as pool:
            ...     list(itertools.islice(pool.imap(abs, itertools.count(-2)), 4))
            [2, 1, 0, 1]
        """
        results: IMapIterator = self._imap(IMapIterator, func, iterable, chunksize)
        return results

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> IMapUnorderedIterator:
        """Like `imap`, but with the results in the order in which they come."""
        results: IMapUnorderedIterator = self._imap(
            IMapUnorderedIterator, func, iterable, chunksize
        )
        return results

    def _imap(self, kind: Any, func: Any, iterable: Iterable[Any], chunksize: int) -> Any:
        self._check_running()
        _check_chunksize(chunksize)
        function, label = self._encode(func)
        items = iter(iterable)
        job = self._engine.begin(function, label, False, False)
        window = max(_MOST_AHEAD // chunksize, 2 * self._processes)
        results = kind(self, job, MAP, items, chunksize, window)
        if not results._exhausted:
            self._unfed.add(results)
            if hasattr(iterable, "__len__"):
                # `join` has all of it done, even if nobody holds on to the results.
                self._unfed_inputs.add(results)
        return results

    def close(self) -> None:
        """Take no more calls; workers end when those that there are have been done."""
        if self._state == RUN:
            self._state = CLOSE
            self._engine.close()

    def terminate(self) -> None:
        """End the workers at once. Calls that are not over raise `PoolTerminated`."""
        self._state = TERMINATE
        self._terminate()

    def join(self) -> None:
        """Wait until the workers have ended, after `close` or `terminate`.

        Raises:
            ValueError: neither was called.
        """
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        for results in list(self._unfed):
            results._feed_all()
        self._engine.wait_ended()
        self._callbacks.join()
        self._terminate()

    def stats(self) -> Stats:
        """Return what the pool has done so far."""
        from millpond._timeline import Stats

        return Stats(*self._engine.stats())

    def timeline(self, title: str | None = None) -> Timeline:
        """Return the picture of which worker did what, and when, until now.

        Args:
            title: what to write above it; the pool's `repr` by default.

        Raises:
            ValueError: the pool was made without `trace=True`.

        Example:
            >>> import millpond, os
            >>> with millpond.Pool(2, trace=True) as pool:
            ...     _ = pool.map(abs, range(100))
            ...     pool.timeline().save(os.devnull)
        """
        from millpond._timeline import Timeline

        pictures = self._engine.timeline(repr(self) if title is None else title)
        if pictures is None:
            raise ValueError("there is no timeline: make the pool with trace=True")
        return Timeline(*pictures)

    @property
    def _pool(self) -> list[PoolWorker]:
        """The workers, as objects like `multiprocessing.Process`."""
        return self._members.current()

    @property
    def _cache(self) -> dict[int, Any]:
        """Nothing: results are kept by the engine."""
        return {}

    def _repopulate_pool(self) -> None:
        """Wait until there are as many workers as there should be; the engine sees to it."""
        self._engine.wait_started()

    def _encode(self, func: Callable[..., Any]) -> tuple[bytes, str]:
        if not callable(func):
            raise TypeError(f"{type(func).__name__!r} object is not callable: {func!r}")
        return self._functions.encode(func)

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")


def _terminate(engine: Engine, callbacks: Callbacks, members: Members, launch: Any) -> None:
    engine.terminate()
    engine.wait_ended()
    callbacks.join()
    members.clear()
    if isinstance(launch, SpawnLauncher):
        launch.close()


def _makes_processes(context: Any) -> bool:
    """Return whether a context's `Process` is one of `multiprocessing`'s classes or derived."""
    kind = getattr(context, "Process", None)
    return isinstance(kind, type) and issubclass(kind, process.BaseProcess)


def _default_context() -> BaseContext:
    from millpond.context import _default_context

    return _default_context.get_context()


def _checked_processes(processes: int | None) -> int:
    if processes is None:
        from millpond import _engine

        return _engine.cpu_count()
    if isinstance(processes, bool) or not hasattr(processes, "__index__"):
        raise TypeError(f"processes must be an int or None, not {processes!r}")
    processes = processes.__index__()
    if processes < 1:
        raise ValueError("Number of processes must be at least 1")
    if processes > _MOST_PROCESSES:
        raise ValueError(f"Number of processes must be at most {_MOST_PROCESSES}, not {processes}")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Two descriptors a worker, and some for everything else.
    most = limit // 2 - 50
    if limit != resource.RLIM_INFINITY and processes > max(most, 1):
        raise ValueError(
            f"Number of processes must be at most {most}, not {processes}: this process may have "
            f"{limit} open files (ulimit -n), and each worker needs two"
        )
    return processes


def _check_tasks(maxtasksperchild: int | None) -> None:
    if maxtasksperchild is not None and (
        not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
    ):
        raise ValueError("maxtasksperchild must be a positive int or None")


def _check_chunksize(chunksize: int) -> None:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")
