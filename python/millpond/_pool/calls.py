"""The calls of a pool, which it has in common with the views that have options of their own."""

from __future__ import annotations

import itertools
from multiprocessing.pool import CLOSE
from typing import TypeVar

from millpond._pool.input import Input
from millpond._pool.options import DEFAULT, shown
from millpond._pool.results import AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult
from millpond._pool.worker import CALL, MAP, SEEDED, STARMAP
from millpond.exceptions import PoolFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self, Unpack

    from millpond._engine import Pool as Engine
    from millpond._futures.completions import Completions
    from millpond._pool.admission import Admission
    from millpond._pool.call_numbers import CallNumbers
    from millpond._pool.options import Options, TaskOptions
    from millpond._pool.timeline import Stats, Timeline
    from millpond.pool import Pool

__all__ = ["Calls", "PoolView"]

S = TypeVar("S")
T = TypeVar("T")

_MOST_AHEAD = 256
"""Chunks that `imap` takes from its input before the first result is taken from it, at most."""


class Calls:
    """The ways into a pool. `Pool` documents them."""

    if TYPE_CHECKING:
        _engine: Engine
        _completions: Completions
        _inputs: set[Input]
        _state: str
        _processes: int

        _submit: Callable[..., int]
        _admission: Admission | None
        _numbers: CallNumbers | None

        def _encode(self, func: Callable[..., Any]) -> tuple[Any, str]: ...
        def _check_running(self) -> None: ...

    _options: TaskOptions = DEFAULT

    def options(self, **options: Unpack[Options]) -> PoolView:
        """Return a view of the pool whose calls have these options, and else those that it has.

        The view has the methods of the pool, and the pool's workers.

        Args:
            timeout: seconds that each item may take, from when a worker begins it; without limit
                if None. Then the task is warned: `TaskTimeout` is raised in it. After `grace` its
                worker is killed, with all that it started. The item fails with `TaskTimeoutError`.
            grace: seconds between the warning and the end; with 0 there is no warning.
            retries: how many more times an item is begun if it fails with one of `retry_on`.
            retry_on: a class of exceptions, or a tuple; the death of a worker by default. An item
                that has killed two workers is not begun again: it fails with `PoisonTask`.
            retry_delay: seconds before the first retry; twice as many before each further one.
            on_error: what a failed item does to a call of several: "raise" its exception, with what
                was computed in its `completed`; "return" the exception in the item's place; "skip"
                it. By default it is raised.
            return_exceptions: True is `on_error="return"`.
            priority: calls with more of it go first.

        Raises:
            TypeError: there is no option of that name, or a value is of a wrong type.
            ValueError: a value is out of range.

        Example:
            >>> import millpond
            >>> with millpond.Pool(2) as pool:
            ...     pool.options(priority=1).map(abs, [-1, -2])
            [1, 2]
        """
        return PoolView(self, self._options.changed(options))

    def apply(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> T:
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
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[T]:
        """Have a worker call `func(*args, **kwds)`, and return an `AsyncResult`.

        Args:
            func: what to call; a function that does not pickle goes by value.
            args: its arguments.
            kwds: its keyword arguments.
            callback: called with the result, in a thread of this process.
            error_callback: called with the exception if there is one.
        """
        self._check_running()
        function, label = self._encode(self._options.wrapped(func))
        control = self._options.engine
        arguments: Any = (tuple(args), dict(kwds) if kwds else None)
        op, number = CALL, -1
        if self._numbers is not None:
            number = self._numbers.take()
            op, arguments = CALL | SEEDED, (number, 0, arguments)
        calls_back = not (callback is None and error_callback is None)
        if calls_back:
            self._completions.start(self._engine)
        try:
            job = self._submit(function, label, op, 1, arguments, control)
        except PoolFull:
            if self._numbers is not None:
                self._numbers.give_back(number)
            raise
        if not calls_back:
            # In no variable: the traceback of what cannot be pickled holds this frame.
            return AsyncResult(self, job)
        result: AsyncResult[T] = AsyncResult(self, job)
        result._set_callbacks(callback, error_callback)
        return result

    def map(
        self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = None
    ) -> list[T]:
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
        return self.map_async(func, iterable, chunksize).get()

    def starmap(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[T]:
        """Like `map`, each item being the arguments of one call.

        Example:
            >>> import millpond
            >>> with millpond.Pool(2) as pool:
            ...     pool.starmap(pow, [(2, 3), (3, 2)])
            [8, 9]
        """
        return self.starmap_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[T]:
        """Like `map`, but return an `AsyncResult` at once."""
        return self._map(func, iterable, MAP, chunksize, callback, error_callback)

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[T]:
        """Like `starmap`, but return an `AsyncResult` at once."""
        return self._map(func, iterable, STARMAP, chunksize, callback, error_callback)

    def _map(
        self,
        func: Callable[..., T],
        iterable: Iterable[Any],
        op: int,
        chunksize: int | None,
        callback: Callable[[list[T]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> MapResult[T]:
        self._check_running()
        items = iterable if type(iterable) is list else list(iterable)
        if chunksize is None:
            # Four chunks a worker even the load out, as in the standard library.
            chunksize = -(-len(items) // (self._processes * 4 or 4)) or 1
        _check_chunksize(chunksize)
        if self._options.is_itemized:
            chunksize = 1
        function, label = self._encode(self._options.wrapped(func))
        # As in the standard library, a call of nothing calls nobody back.
        calls_back = bool(items) and not (callback is None and error_callback is None)
        if calls_back:
            self._completions.start(self._engine)
        admission = self._admission
        reserved = 0 if admission is None else admission.check(len(items), chunksize)
        fail_fast = self._options.on_error not in ("return", "skip")
        try:
            if self._numbers is not None:
                call = self._numbers.take()
                op = op | SEEDED
                items = list(zip(itertools.repeat(call), itertools.count(), items))
            job = self._engine.begin(function, label, fail_fast, self._options.engine)
        except BaseException:
            if reserved:
                self._engine.release(reserved)
            raise
        try:
            if admission is None:
                self._engine.extend(job, op, items, chunksize)
            else:
                admission.extend(job, op, items, chunksize, reserved)
            self._engine.seal(job)
        except BaseException:
            # Ctrl-C: a job that never ends would keep `join` waiting.
            self._engine.abandon(job)
            raise
        result: MapResult[T] = MapResult(self, job, chunksize)
        if calls_back:
            result._set_callbacks(callback, error_callback)
        return result

    def imap(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> IMapIterator[T]:
        """Return an iterator over the results, in order, while they are computed.

        The input is read by a thread as the results are taken, so it may wait for something, and
        be endless. An exception of one item is raised in its place, and the iterator goes on
        behind it; one of the input comes after the results of what was read before.

        `join` has all of the input worked on, except where results were taken in part, by the
        thread that joins or by one that has ended, and more than the usual number is left (then
        the iterator raises ValueError behind the last result), and except with a `buffersize`,
        when `close` ends the reading.

        Args:
            func: what to call.
            iterable: the items.
            chunksize: items that travel and fail together.
            buffersize: chunks that are read while their results have not been taken, at most; by
                default some hundred.

        Raises:
            ValueError: `chunksize` or `buffersize` is less than 1.
            TypeError: `buffersize` is no integer.
            RuntimeError: the system refuses another thread.

        Example:
            >>> import itertools, millpond
            >>> with millpond.Pool(2) as pool:
            ...     list(itertools.islice(pool.imap(abs, itertools.count(-2)), 4))
            [2, 1, 0, 1]
        """
        results: IMapIterator[T] = self._imap(IMapIterator, func, iterable, chunksize, buffersize)
        return results

    def imap_unordered(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> IMapUnorderedIterator[T]:
        """Like `imap`, but with the results in the order in which they come."""
        results: IMapUnorderedIterator[T] = self._imap(
            IMapUnorderedIterator, func, iterable, chunksize, buffersize
        )
        return results

    def _imap(
        self,
        kind: Any,
        func: Any,
        iterable: Iterable[Any],
        chunksize: int,
        buffersize: int | None,
    ) -> Any:
        self._check_running()
        _check_chunksize(chunksize)
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        function, label = self._encode(self._options.wrapped(func))
        most = buffersize or max(_MOST_AHEAD // chunksize, 2 * self._processes, 1)
        if self._options.is_itemized:
            most, chunksize = most * chunksize, 1
        job = self._engine.begin(function, label, False, self._options.engine, streams=True)
        try:
            strict = buffersize is not None
            call = None if self._numbers is None else self._numbers.take()
            op = MAP if call is None else MAP | SEEDED
            input = Input(
                self._engine, job, op, call, iterable, chunksize, most, strict, self._inputs
            )
        except BaseException:
            self._engine.abandon(job)
            raise
        if self._state == CLOSE:
            # Another thread closed the pool, perhaps before it could see the input.
            input.close()
        return kind(self, job, chunksize, input)


class PoolView(Calls):
    """A pool whose calls have options; `Pool.options` makes it."""

    __module__ = "millpond.pool"

    def __init__(self, pool: Any, options: TaskOptions) -> None:
        self._root: Pool = getattr(pool, "_root", pool)
        self._options = options
        self._engine = self._root._engine
        self._completions = self._root._completions
        self._inputs = self._root._inputs
        self._submit = self._root._submit
        self._admission = self._root._admission
        self._numbers = self._root._numbers
        self._encode = self._root._encode  # type: ignore[method-assign]
        self._check_running = self._root._check_running  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"<{self._root!r}.options({shown(self._options)})>"

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    @property
    def _state(self) -> str:  # type: ignore[override]
        return self._root._state

    @property
    def _processes(self) -> int:  # type: ignore[override]
        return self._root._processes

    def __enter__(self) -> Self:
        """Return the view; the end of the `with` statement terminates the pool.

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
        self._root.terminate()

    def close(self) -> None:
        """Close the pool; see `Pool.close`."""
        self._root.close()

    def terminate(self) -> None:
        """Terminate the pool; see `Pool.terminate`."""
        self._root.terminate()

    def join(self) -> None:
        """Wait until the workers have ended; see `Pool.join`."""
        self._root.join()

    def resize(self, processes: int | tuple[int, int], idle_timeout: float | None = None) -> None:
        """Resize the pool; see `Pool.resize`."""
        self._root.resize(processes, idle_timeout)

    def stats(self) -> Stats:
        """Return what the pool has done so far, for all views of it."""
        return self._root.stats()

    def timeline(self, title: str | None = None) -> Timeline:
        """Return the picture of what the pool's workers did; see `Pool.timeline`."""
        return self._root.timeline(title)


def _check_chunksize(chunksize: int) -> None:
    if not hasattr(chunksize, "__index__"):
        raise TypeError(f"chunksize must be an int, not {chunksize!r}")
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")
