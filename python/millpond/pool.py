"""A pool of worker processes: `multiprocessing.pool` on millpond's engine."""

from __future__ import annotations

import os
import warnings
from multiprocessing import util
from multiprocessing.pool import CLOSE, INIT, RUN, TERMINATE, ThreadPool

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._futures.completions import Completions
from millpond._limits import engine_has_room
from millpond._pickling import codec
from millpond._pool import stdlib_pool
from millpond._pool.call_numbers import CallNumbers
from millpond._pool.calls import Calls
from millpond._pool.input import Input
from millpond._pool.launch import launcher
from millpond._pool.options import of_constructor
from millpond._pool.progress import Backlog, Handler, OpenJobs, Pipe, View
from millpond._pool.results import AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult
from millpond._pool.settings import Settings
from millpond._pool.size import Size
from millpond._pool.worker_registry import PoolWorker, WorkerRegistry
from millpond._pool.worker_spec import WorkerSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.context import BaseContext
    from types import TracebackType
    from typing import Any, Self, Unpack

    from millpond._engine import Pool as Engine
    from millpond._pool.settings import PoolOptions
    from millpond._pool.timeline import Stats, Timeline

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
MaybeEncodingError: Any = _cpython.get("multiprocessing.pool", "MaybeEncodingError")
RemoteTraceback: Any = _cpython.get("multiprocessing.pool", "RemoteTraceback")


_RECHECK_INTERVAL = 0.1
"""Seconds after which `join` looks what becomes of input that is not read to its end."""


class Pool(Calls):
    """A pool of worker processes that run functions for this process.

    It has the interface of `multiprocessing.Pool`, and goes on when a worker dies: the task that
    the worker was running raises `WorkerCrashed` in the caller, all others are done.

    A subclass that overrides what `multiprocessing.pool.Pool` is built of (`_setup_queues`,
    `Process`, …) is the standard library's pool, and so is a pool of a context whose processes
    are of a class with a constructor or a `start` of its own.

    Args:
        processes: how many workers; by default as many as this process may use CPUs. With
            `(least, most)` the pool grows while more tasks wait than there are workers, and
            shrinks when workers have nothing to do; see also `resize`.
        initializer: called in each worker before its first task. If it raises, the pool is broken:
            calls raise `BrokenPool`.
        initargs: the initializer's arguments.
        maxtasksperchild: tasks (calls, or chunks of items) after which a worker is replaced by a
            fresh one; never by default.
        context: where the start method comes from; the default context by default.
        trace: keep a timeline of which worker did what; see `timeline`.
        preload: names of modules that are imported once, before workers are forked, and not in
            each; `"__main__"` is the program. By default the program alone, or what
            `set_forkserver_preload` named; with `[]` each worker imports the program for itself,
            as in the standard library. Forked pools have what the program has.
        idle_timeout: seconds after which a worker leaves that has nothing to do, as long as there
            are more than `least`; 10 by default.
        max_pending: how many tasks (calls, or chunks of items) may wait, beside one for each
            worker that there may be; any number by default. `imap` has its `buffersize` instead.
        when_full: what a call does when more would wait: "block", which does not hold callbacks
            up, or "raise" `PoolFull`, before anything of it is submitted.
        ageing: seconds after which a task that waits is worth as much as one that comes then and
            has the next higher priority; 60 by default, `math.inf` for never.
        env: variables of the workers' environment, or None for those that they are not to have;
            under spawn and forkserver they are set before the program is imported.
        cwd: the directory that workers work in, from before the initializer on.
        niceness: by how much less urgent than this process the workers are to the system (`nice`).
        finalizer: called in each worker when it ends by itself: when the pool ends and the worker
            is at no task, after `maxtasksperchild`, when the pool shrinks. Not if it is killed.
        blas_threads: how many threads OpenMP, OpenBLAS, MKL, BLIS and NumExpr may use in each
            worker, or "auto" for this process's CPUs divided by the workers. Set by variables of
            the environment and, for what was loaded before a fork, by `threadpoolctl` if there is.
        seed: an integer that gives each item random numbers of its own, the same for any number of
            workers, order and chunk size; see `millpond.rng`. `random` and, if it was imported
            before the item began, NumPy's global generator are seeded for each.
        options: for all calls of the pool what `options` has for some.

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
    _is_root = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        stdlib_pool.become_stdlib(cls)

    def __init__(
        self,
        processes: int | tuple[int, int] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
        *,
        trace: bool = False,
        preload: Iterable[str] | None = None,
        **options: Unpack[PoolOptions],
    ) -> None:
        self._state = INIT
        if stdlib_pool.is_stdlib(type(self)):
            # A subclass may name its base class, instead of `super()`.
            stdlib_pool.initialize(
                self,
                processes,
                initializer,
                initargs,
                maxtasksperchild,
                context,
            )
            return
        context = context or _default_context()
        if not (stdlib_pool.zygote_can_make(context) and engine_has_room()):
            if trace or options or isinstance(processes, tuple):
                refused = ", ".join(options) or ("trace" if trace else "processes")
                raise ValueError(
                    f"{refused}: this is a pool of the standard library's, as {context!r} makes "
                    "other processes than multiprocessing, or files may not be large (ulimit -f)"
                )
            stdlib_pool.initialize(
                self, processes, initializer, initargs, maxtasksperchild, context
            )
            return
        engine = load_engine()
        settings = Settings.taken_from(options)
        self._options = of_constructor(options, "Pool")
        self._ctx = context
        size = Size.checked(
            processes, settings.idle_timeout, at_least=0 if self._of_executor else 1
        )
        self._processes = size.most
        _check_tasks(maxtasksperchild)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._maxtasksperchild = maxtasksperchild
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._spec = WorkerSpec(
            self._ctx,
            size.least,
            initializer,
            self._initargs,
            self._of_executor,
            settings.of_workers(size.most),
        )
        launch = launcher(self._spec, preload)
        self._encoder = encoder = codec.TaskEncoder(
            self._spec.method, is_seeded=settings.seed is not None
        )
        try:
            self._engine: Engine = engine.Pool(
                size,
                maxtasksperchild,
                trace,
                self._fragile,
                settings.engine,
                launch,
                encoder.dumps,
                encoder.apart,
                codec.loads,
            )
        except BaseException:
            launch.close()
            raise
        self._completions = Completions()
        self._numbers = None if settings.seed is None else CallNumbers()
        self._admission: Admission | None = None
        self._submit = self._engine.submit
        if settings.max_pending is not None:
            from millpond._pool.admission import Admission

            self._admission = Admission(self._engine, self._completions, settings)
            self._submit = self._admission.submit
        # Of `imap`, as long as something reads them.
        self._inputs: set[Input] = set()
        self._registry = WorkerRegistry(self._engine, self._spec, size.least)
        self._terminate = util.Finalize(
            self,
            _terminate,
            args=(self._engine, self._completions, self._inputs, self._registry, launch),
            exitpriority=15,
        )
        self._state = RUN

    def __repr__(self) -> str:
        cls = type(self)
        state, size = self._state, str(self._processes)
        if state == RUN and self._spec.owner_pid == os.getpid():
            least, most, wanted, _, _ = self._engine.size()
            size = str(wanted) if least == most else f"{wanted} ({least} to {most})"
        return f"<{cls.__module__}.{cls.__qualname__} state={state} pool_size={size}>"

    def __del__(self, _warn: Any = warnings.warn, _run: str = RUN) -> None:
        if getattr(self, "_state", None) == _run and self._spec.owner_pid == os.getpid():
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    @staticmethod
    def Process(ctx: BaseContext, *args: Any, **kwds: Any) -> Any:
        """Return a process of a context, for subclasses that make workers in a way of their own."""
        return ctx.Process(*args, **kwds)  # type: ignore[attr-defined]

    def __enter__(self) -> Self:
        """Return the pool, which the end of the `with` statement terminates.

        Raises:
            ValueError: it was closed or terminated.
        """
        self._check_running()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Terminate the pool."""
        self.terminate()

    def close(self) -> None:
        """Stop accepting tasks; workers exit after finishing those that were submitted."""
        if self._state == RUN:
            self._state = CLOSE
            for input in list(self._inputs):
                input.close()
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
        while True:
            # All of them, whatever the first says.
            unread = sum(input.join() for input in list(self._inputs))
            if self._engine.wait_ended(_RECHECK_INTERVAL if unread else None):
                break
        self._completions.join()
        self._terminate()

    def resize(self, processes: int | tuple[int, int], idle_timeout: float | None = None) -> None:
        """Have the pool have as many workers from now on; return at once.

        Of those that are too many those leave first that are being set up, then the longest idle,
        then the newest. One that is at a task leaves when that is done, and others do what it had
        not begun: no task is lost, and none is done twice. Workers that are added see the program
        as it is by then, as those that replace others.

        Without workers, tasks wait until there are some. A pool that is closed has one as long as
        there is something to do.

        Args:
            processes: how many, or the least and the largest number of them.
            idle_timeout: as for the pool; 10 by default.

        Raises:
            ValueError: the pool was terminated, or a number is out of range.
            BrokenPool: the pool is broken.

        Example:
            >>> import millpond
            >>> with millpond.Pool(1) as pool:
            ...     pool.resize(3)
            ...     len(pool.map(abs, range(-100, 0)))
            100
        """
        size = Size.checked(processes, idle_timeout, at_least=0)
        self._engine.resize(size)
        self._processes = size.most

    def stats(self) -> Stats:
        """Return what the pool has done so far."""
        from millpond._pool.timeline import Level, Stats

        _, _, wanted, workers, left = self._engine.size()
        levels = {level[0]: Level(*level[1:]) for level in self._engine.levels()}
        return Stats(*self._engine.stats(), workers, wanted, left, levels)

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
        from millpond._pool.timeline import Timeline

        pictures = self._engine.timeline(repr(self) if title is None else title)
        if pictures is None:
            raise ValueError("there is no timeline: make the pool with trace=True")
        return Timeline(*pictures)

    @property
    def _pool(self) -> list[PoolWorker]:
        """The workers, as objects like `multiprocessing.Process`."""
        return self._registry.current()

    # What programs that show progress look at in the standard library's.
    _cache = View(OpenJobs)
    _taskqueue = View(Backlog)
    _inqueue = View(Pipe)
    _outqueue = View(Pipe)
    _worker_handler = View(Handler)
    _task_handler = View(Handler)
    _result_handler = View(Handler)

    def _repopulate_pool(self) -> None:
        """Wait until there are as many workers as there should be; the engine sees to it."""
        self._engine.wait_started()

    def _encode(self, func: Callable[..., Any]) -> tuple[Any, str]:
        if not callable(func):
            raise TypeError(f"{type(func).__name__!r} object is not callable: {func!r}")
        return self._encoder.function(func)

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")


stdlib_pool.lend_parts(Pool)


def _terminate(
    engine: Engine,
    completions: Completions,
    inputs: set[Input],
    registry: WorkerRegistry,
    launch: Any,
) -> None:
    launch.cancel()
    engine.terminate()
    for input in list(inputs):
        input.stop()
    engine.wait_ended()
    completions.join()
    registry.clear()
    launch.close()


def _default_context() -> BaseContext:
    from millpond.context import _default_context

    return _default_context.get_context()


def _check_tasks(maxtasksperchild: int | None) -> None:
    if maxtasksperchild is not None and (
        not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
    ):
        raise ValueError("maxtasksperchild must be a positive int or None")


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
