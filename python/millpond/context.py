"""Contexts: the whole API with the start method fixed, as in `multiprocessing.context`.

Millpond's contexts subclass the standard library's and differ in what the engine provides. The
start method itself is kept in one place, the standard library's default context, so that
`multiprocessing.set_start_method` and `millpond.set_start_method` are the same switch.
"""

from __future__ import annotations

import multiprocessing.context as _stdlib
from multiprocessing import process, reduction
from multiprocessing.context import (
    AuthenticationError,
    BufferTooShort,
    ForkProcess,
    ForkServerProcess,
    Process,
    ProcessError,
    SpawnProcess,
    TimeoutError,
    assert_spawning,
    get_spawning_popen,
    set_spawning_popen,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, overload

    from millpond.connection import Connection
    from millpond.pool import Pool
    from millpond.queues import JoinableQueue, Queue, SimpleQueue
    from millpond.synchronize import (
        Barrier,
        BoundedSemaphore,
        Condition,
        Event,
        Lock,
        RLock,
        Semaphore,
    )

__all__ = [
    "AuthenticationError",
    "BaseContext",
    "BufferTooShort",
    "DefaultContext",
    "ForkContext",
    "ForkProcess",
    "ForkServerContext",
    "ForkServerProcess",
    "Process",
    "ProcessError",
    "SpawnContext",
    "SpawnProcess",
    "TimeoutError",
    "assert_spawning",
    "get_spawning_popen",
    "process",
    "reduction",
    "set_spawning_popen",
]


# The stubs of the standard library do not know these two.
_stdlib_contexts: dict[str, Any] = vars(_stdlib)["_concrete_contexts"]
_stdlib_default: Any = _stdlib._default_context


class BaseContext(_stdlib.BaseContext):
    """What millpond's contexts have in common: the names that run on the engine."""

    def Pool(  # type: ignore[override]
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        trace: bool = False,
    ) -> Pool:
        """Return a pool of worker processes started by this context's method.

        Args:
            processes: how many workers; `cpu_count()` of them by default.
            initializer: called in each worker before its first task.
            initargs: the initializer's arguments.
            maxtasksperchild: tasks after which a worker is replaced; never by default.
            trace: keep a timeline of which worker did what; see `millpond.pool.Pool.timeline`.

        Raises:
            ImportError: millpond's compiled engine is missing or does not load.

        Example:
            >>> import millpond
            >>> with millpond.get_context("fork").Pool(2) as pool:
            ...     pool.map(abs, [-1, -2])
            [1, 2]
        """
        from millpond._version import load_engine

        load_engine()
        from millpond.pool import Pool

        context = self.get_context()
        return Pool(
            processes, initializer, initargs, maxtasksperchild, context=context, trace=trace
        )

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:
        """Return two connections, the ends of a pipe; see `millpond.connection.Pipe`.

        Args:
            duplex: whether both ends send and receive. Otherwise the first only receives, and the
                second only sends.

        Raises:
            ImportError: millpond's compiled engine is missing or does not load.
            OSError: no descriptor is left.

        Example:
            >>> import millpond
            >>> left, right = millpond.Pipe()
            >>> left.send([1, 2, 3])
            >>> right.recv()
            [1, 2, 3]
        """
        from millpond.connection import Pipe

        return Pipe(duplex)

    def RawValue(self, typecode_or_type: Any, *args: Any) -> Any:
        """Return an object of ctypes in shared memory; see `millpond.sharedctypes.RawValue`."""
        from millpond.sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type: Any, size_or_initializer: Any) -> Any:
        """Return an array of ctypes in shared memory; see `millpond.sharedctypes.RawArray`."""
        from millpond.sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        """Return an object of ctypes in shared memory, guarded by a lock.

        See `millpond.sharedctypes.Value`.
        """
        from millpond.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        """Return an array of ctypes in shared memory, guarded by a lock.

        See `millpond.sharedctypes.Array`.
        """
        from millpond.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    def Queue(self, maxsize: int = 0) -> Queue:  # type: ignore[override]
        """Return a queue for so many items, for any number if that is not positive."""
        from millpond.queues import Queue

        return Queue(maxsize, ctx=self.get_context())

    def JoinableQueue(self, maxsize: int = 0) -> JoinableQueue:  # type: ignore[override]
        """Return a queue whose items can be waited for until they are done."""
        from millpond.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self.get_context())

    def SimpleQueue(self) -> SimpleQueue:  # type: ignore[override]
        """Return a queue without a bound, and with fewer methods."""
        from millpond.queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    def Lock(self) -> Lock:  # type: ignore[override]
        """Return a lock, which is held by one thread of one process."""
        from millpond.synchronize import Lock

        return Lock(ctx=self.get_context())

    def RLock(self) -> RLock:  # type: ignore[override]
        """Return a lock that the thread which holds it may acquire again."""
        from millpond.synchronize import RLock

        return RLock(ctx=self.get_context())

    def Semaphore(self, value: int = 1) -> Semaphore:  # type: ignore[override]
        """Return a semaphore of so many permits."""
        from millpond.synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context())

    def BoundedSemaphore(self, value: int = 1) -> BoundedSemaphore:  # type: ignore[override]
        """Return a semaphore that never has more permits than at first."""
        from millpond.synchronize import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self.get_context())

    def Condition(self, lock: Any = None) -> Condition:  # type: ignore[override]
        """Return a condition over this `Lock` or `RLock`, or an `RLock` of its own."""
        from millpond.synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    def Event(self) -> Event:  # type: ignore[override]
        """Return a flag that is not set."""
        from millpond.synchronize import Event

        return Event(ctx=self.get_context())

    def Barrier(  # type: ignore[override]
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> Barrier:
        """Return a barrier of so many parties."""
        from millpond.synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def cpu_count(self) -> int:
        """Return how many CPUs this process may use.

        Unlike `multiprocessing.cpu_count`, which counts the machine's, this heeds the CPU affinity
        mask and the quota of the control groups.

        Example:
            >>> import millpond
            >>> millpond.cpu_count() >= 1
            True
        """
        from millpond._version import load_engine

        count: int = load_engine().cpu_count()
        return count

    if TYPE_CHECKING:

        @overload
        def get_context(self, method: None = None) -> DefaultContext: ...
        @overload
        def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
        @overload
        def get_context(self, method: Literal["fork"]) -> ForkContext: ...
        @overload
        def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
        @overload
        def get_context(self, method: str) -> BaseContext: ...

    def get_context(self, method: str | None = None) -> Any:
        """Return the context of a start method, or this one when none is named.

        Raises:
            ValueError: there is no such start method.

        Example:
            >>> import millpond
            >>> millpond.get_context("spawn").get_start_method()
            'spawn'
        """
        if method is None:
            return self
        try:
            context = _ours_or(_stdlib_contexts[method])
        except KeyError:
            known = ", ".join(map(repr, _concrete_contexts))
            raise ValueError(
                f"cannot find context for {method!r}: the start methods are {known}"
            ) from None
        context._check_available()
        return context


class DefaultContext(_stdlib.DefaultContext, BaseContext):
    """The context behind the functions of `millpond` itself: it has no start method of its own."""

    def __init__(self) -> None:
        # No call of the base class's: the state lives in the standard library's default context.
        pass

    @property
    def _default_context(self) -> Any:
        return _ours_or(_stdlib_default._default_context)

    @property
    def _actual_context(self) -> Any:
        actual = _stdlib_default._actual_context
        return None if actual is None else _ours_or(actual)

    @_actual_context.setter
    def _actual_context(self, context: Any) -> None:
        if context is not None:
            context = _stdlib_contexts.get(context._name, context)
        _stdlib_default._actual_context = context


class ForkContext(BaseContext, _stdlib.ForkContext):
    """Children are forked from this process."""


class SpawnContext(BaseContext, _stdlib.SpawnContext):
    """Children are fresh interpreters."""


class ForkServerContext(BaseContext, _stdlib.ForkServerContext):
    """Children are forked from a server process that has no threads."""


_concrete_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
_default_context: DefaultContext = DefaultContext()


def _ours_or(context: Any) -> Any:
    """Return millpond's context of the same start method, or one that only the stdlib knows."""
    return _concrete_contexts.get(context._name, context)
