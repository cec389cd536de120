"""Contexts: the whole API with the start method fixed, as in `multiprocessing.context`.

Millpond's contexts subclass the standard library's and differ in what the engine provides. The
start method itself is kept in one place, the standard library's default context, so that
`multiprocessing.set_start_method` and `millpond.set_start_method` are the same switch.
"""

from __future__ import annotations

import multiprocessing.context as _stdlib
import signal
from functools import wraps
from multiprocessing import process, reduction
from multiprocessing.context import (
    AuthenticationError,
    BufferTooShort,
    ProcessError,
    TimeoutError,
    assert_spawning,
    get_spawning_popen,
    set_spawning_popen,
)

from millpond import _cpython
from millpond._limits import engine_has_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, ClassVar, Literal, TypeVar, Unpack, overload

    from millpond._pool.settings import PoolOptions
    from millpond.connection import Connection
    from millpond.pool import Pool
    from millpond.queues import JoinableQueue, Queue, SimpleQueue
    from millpond.sharedctypes import (
        CData,
        FloatCode,
        IntCode,
        Locking,
        SimpleCData,
        Synchronized,
        SynchronizedArray,
        SynchronizedBase,
        SynchronizedString,
    )
    from millpond.synchronize import (
        Barrier,
        BoundedSemaphore,
        Condition,
        Event,
        Lock,
        LockLike,
        RLock,
        Semaphore,
    )

    CT = TypeVar("CT", bound=CData)
    MethodT = TypeVar("MethodT", bound=Callable[..., Any])
    T = TypeVar("T")

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


_stdlib_contexts: dict[str, Any] = _cpython.get("multiprocessing.context", "_concrete_contexts")
_stdlib_default: Any = _cpython.get("multiprocessing.context", "_default_context")


class NewerProcess(process.BaseProcess):
    """What the processes of older releases of CPython lack."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        """Make a process that is to run `target(*args, **kwargs)`."""
        super().__init__(group, target, name, args, kwargs or {}, daemon=daemon)

    def interrupt(self) -> None:
        """Send SIGINT to the process, which raises `KeyboardInterrupt` there."""
        own: Any = self
        own._check_closed()
        own._popen._send_signal(signal.SIGINT)


class Process(NewerProcess, _stdlib.Process):
    """A process started by the default method; see `multiprocessing.Process`.

    Under each start method its target and arguments may be what plain pickle refuses, such as
    lambdas and closures: these travel by value.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        return _default_context.get_context().Process._Popen(process_obj)


_DefaultProcess = Process


class ForkProcess(NewerProcess, _stdlib.ForkProcess):
    """A process forked from this one."""


class SpawnProcess(NewerProcess, _stdlib.SpawnProcess):
    """A process that is a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from multiprocessing.popen_spawn_posix import Popen

        from millpond._pickling.passing import pass_by_value

        return pass_by_value(Popen)(process_obj)


class ForkServerProcess(NewerProcess, _stdlib.ForkServerProcess):
    """A process forked from the fork server."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from multiprocessing.popen_forkserver import Popen

        from millpond._pickling.passing import pass_by_value

        return pass_by_value(Popen)(process_obj)


def _or_stdlib(method: MethodT) -> MethodT:
    """Fall back on the standard library's method where the engine has no room for its objects."""
    make: Any = method

    @wraps(make)
    def made(self: Any, *args: Any, **kwargs: Any) -> Any:
        if engine_has_room():
            return make(self, *args, **kwargs)
        # There is no timeline there, and nothing to be preloaded.
        kwargs.pop("trace", None)
        kwargs.pop("preload", None)
        from millpond._pool.options import OPTIONS
        from millpond._pool.settings import SETTINGS

        for name in kwargs.keys() & (OPTIONS | SETTINGS):
            raise ValueError(f"{name}: files may not be large here (ulimit -f)")
        return getattr(_stdlib.BaseContext, make.__name__)(self, *args, **kwargs)

    return made  # type: ignore[return-value]


class BaseContext(_stdlib.BaseContext):
    """The API of `multiprocessing` with millpond's classes: the base of all contexts."""

    if TYPE_CHECKING:
        # Each context has it, though the base class has not.
        Process: ClassVar[type[process.BaseProcess]]

    @_or_stdlib
    def Pool(  # type: ignore[override]
        self,
        processes: int | tuple[int, int] | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        trace: bool = False,
        preload: Iterable[str] | None = None,
        **options: Unpack[PoolOptions],
    ) -> Pool:
        """Return a pool of worker processes started by this context's method.

        Args:
            processes: the number of workers, or the least and the largest; `cpu_count()` by
                default.
            initializer: called in each worker before its first task.
            initargs: the initializer's arguments.
            maxtasksperchild: tasks after which a worker is replaced; never by default.
            trace: keep a timeline of which worker did what; see `millpond.pool.Pool.timeline`.
            preload: modules to import before workers are made, not in each; see
                `millpond.pool.Pool`.
            options: other settings of `millpond.pool.Pool`, and for all calls what its `options`
                has for some.

        Raises:
            ImportError: millpond's compiled engine is missing or does not load.

        Example:
            >>> import millpond
            >>> with millpond.get_context("fork").Pool(2) as pool:
            ...     pool.map(abs, [-1, -2])
            [1, 2]
        """
        from millpond._engine_loader import load_engine

        load_engine()
        from millpond.pool import Pool

        context = self.get_context()
        return Pool(
            processes,
            initializer,
            initargs,
            maxtasksperchild,
            context=context,
            trace=trace,
            preload=preload,
            **options,
        )

    @_or_stdlib
    def Pipe(self, duplex: bool = True) -> tuple[Connection[Any, Any], Connection[Any, Any]]:
        """Return two connections, the ends of a pipe; see `millpond.connection.Connection`.

        Args:
            duplex: whether both ends send and receive. If False, the first only receives and the
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

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def RawValue(self, typecode_or_type: IntCode, *args: Any) -> SimpleCData[int]: ...
        @overload
        def RawValue(self, typecode_or_type: FloatCode, *args: Any) -> SimpleCData[float]: ...
        @overload
        def RawValue(self, typecode_or_type: Literal["c"], *args: Any) -> SimpleCData[bytes]: ...
        @overload
        def RawValue(self, typecode_or_type: Literal["u"], *args: Any) -> SimpleCData[str]: ...
        @overload
        def RawValue(self, typecode_or_type: type[CT], *args: Any) -> CT: ...
        @overload
        def RawValue(self, typecode_or_type: str, *args: Any) -> Any: ...

    @_or_stdlib
    def RawValue(self, typecode_or_type: Any, *args: Any) -> Any:
        """Return a ctypes object in shared memory, without a lock.

        Args:
            typecode_or_type: a ctypes type, or a one-letter type code as of the module `array`.
            args: arguments of the type's constructor.

        Raises:
            TypeError: there is no such type, or its constructor does not take *args*.
            OSError: no descriptor is left.
        """
        from millpond.sharedctypes import RawValue

        return RawValue(typecode_or_type, *args)

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def RawArray(
            self, typecode_or_type: Literal["c"], size_or_initializer: int | Sequence[Any]
        ) -> ctypes.Array[ctypes.c_char]: ...
        @overload
        def RawArray(
            self, typecode_or_type: type[CT], size_or_initializer: int | Sequence[Any]
        ) -> ctypes.Array[CT]: ...
        @overload
        def RawArray(
            self, typecode_or_type: str, size_or_initializer: int | Sequence[Any]
        ) -> ctypes.Array[Any]: ...

    @_or_stdlib
    def RawArray(self, typecode_or_type: Any, size_or_initializer: Any) -> Any:
        """Return a ctypes array in shared memory, without a lock.

        Args:
            typecode_or_type: the type of the elements: a ctypes type, or a one-letter type code as
                of the module `array`.
            size_or_initializer: the number of elements, which are then zero, or the elements.

        Raises:
            TypeError: there is no such type, or the elements are not of it.
            ValueError: the size is negative.
            MemoryError: the array is larger than this machine's memory.
            OSError: no descriptor is left.
        """
        from millpond.sharedctypes import RawArray

        return RawArray(typecode_or_type, size_or_initializer)

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def Value(
            self, typecode_or_type: IntCode, *args: Any, lock: Locking = True
        ) -> Synchronized[int]: ...
        @overload
        def Value(
            self, typecode_or_type: FloatCode, *args: Any, lock: Locking = True
        ) -> Synchronized[float]: ...
        @overload
        def Value(
            self, typecode_or_type: Literal["c"], *args: Any, lock: Locking = True
        ) -> Synchronized[bytes]: ...
        @overload
        def Value(
            self, typecode_or_type: Literal["u"], *args: Any, lock: Locking = True
        ) -> Synchronized[str]: ...
        @overload
        def Value(
            self, typecode_or_type: type[SimpleCData[T]], *args: Any, lock: Locking = True
        ) -> Synchronized[T]: ...
        @overload
        def Value(
            self, typecode_or_type: type[CT], *args: Any, lock: Locking = True
        ) -> SynchronizedBase[CT]: ...
        @overload
        def Value(
            self, typecode_or_type: IntCode, *args: Any, lock: Literal[False]
        ) -> SimpleCData[int]: ...
        @overload
        def Value(
            self, typecode_or_type: FloatCode, *args: Any, lock: Literal[False]
        ) -> SimpleCData[float]: ...
        @overload
        def Value(self, typecode_or_type: type[CT], *args: Any, lock: Literal[False]) -> CT: ...
        @overload
        def Value(
            self, typecode_or_type: str, *args: Any, lock: Locking = True
        ) -> Synchronized[Any]: ...
        @overload
        def Value(
            self, typecode_or_type: str | type[CData], *args: Any, lock: bool | LockLike = True
        ) -> Any: ...

    @_or_stdlib
    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        """Return a ctypes object in shared memory, guarded by a lock.

        Args:
            typecode_or_type: a ctypes type, or a one-letter type code as of the module `array`.
            args: arguments of the type's constructor.
            lock: True for a new `RLock`, False for no lock, or the `Lock` or `RLock` to use.

        Returns:
            A wrapper with the attribute `value` (`millpond.sharedctypes.Synchronized`), or with the
            fields of a structure; without a lock, the ctypes object itself.

        Raises:
            TypeError: there is no such type, or its constructor does not take *args*.
            AttributeError: *lock* has no `acquire()` method.
            OSError: no descriptor is left.

        Example:
            >>> import millpond
            >>> hits = millpond.Value("i", 40)
            >>> hits.add(2)
            42
        """
        from millpond.sharedctypes import Value

        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def Array(
            self,
            typecode_or_type: IntCode,
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedArray[int]: ...
        @overload
        def Array(
            self,
            typecode_or_type: FloatCode,
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedArray[float]: ...
        @overload
        def Array(
            self,
            typecode_or_type: Literal["c"] | type[ctypes.c_char],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedString: ...
        @overload
        def Array(
            self,
            typecode_or_type: Literal["u"],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedArray[str]: ...
        @overload
        def Array(
            self,
            typecode_or_type: type[SimpleCData[T]],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedArray[T]: ...
        @overload
        def Array(
            self,
            typecode_or_type: type[CT],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Literal[False],
        ) -> ctypes.Array[CT]: ...
        @overload
        def Array(
            self,
            typecode_or_type: str,
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Literal[False],
        ) -> ctypes.Array[Any]: ...
        @overload
        def Array(
            self,
            typecode_or_type: str | type[CData],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: Locking = True,
        ) -> SynchronizedArray[Any]: ...
        @overload
        def Array(
            self,
            typecode_or_type: str | type[CData],
            size_or_initializer: int | Sequence[Any],
            *,
            lock: bool | LockLike = True,
        ) -> Any: ...

    @_or_stdlib
    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        """Return a ctypes array in shared memory, guarded by a lock.

        Args:
            typecode_or_type: the type of the elements: a ctypes type, or a one-letter type code as
                of the module `array`.
            size_or_initializer: the number of elements, which are then zero, or the elements.
            lock: True for a new `RLock`, False for no lock, or the `Lock` or `RLock` to use.

        Returns:
            A wrapper that is indexed and sliced like a list
            (`millpond.sharedctypes.SynchronizedArray`); without a lock, the ctypes array itself.

        Raises:
            TypeError: there is no such type, or the elements are not of it.
            ValueError: the size is negative.
            MemoryError: the array is larger than this machine's memory.
            AttributeError: *lock* has no `acquire()` method.
            OSError: no descriptor is left.

        Example:
            >>> import millpond
            >>> squares = millpond.Array("i", 3)
            >>> squares[:] = [0, 1, 4]
            >>> squares[2]
            4
        """
        from millpond.sharedctypes import Array

        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    @_or_stdlib
    def Queue(self, maxsize: int = 0) -> Queue[Any]:  # type: ignore[override]
        """Return a queue holding at most *maxsize* items (unbounded if *maxsize* <= 0).

        Raises:
            TypeError: *maxsize* is not an integer.
            OverflowError: *maxsize* is 2**31 or more.
            OSError: no descriptor is left.
        """
        from millpond.queues import Queue

        return Queue(maxsize, ctx=self.get_context())

    @_or_stdlib
    def JoinableQueue(self, maxsize: int = 0) -> JoinableQueue[Any]:  # type: ignore[override]
        """Return a queue with `task_done()` and `join()`, of at most *maxsize* items.

        It is unbounded if *maxsize* <= 0. See `Queue` for what is raised.
        """
        from millpond.queues import JoinableQueue

        return JoinableQueue(maxsize, ctx=self.get_context())

    @_or_stdlib
    def SimpleQueue(self) -> SimpleQueue[Any]:  # type: ignore[override]
        """Return an unbounded queue with few methods: `get`, `put`, `empty` and `close`.

        Raises:
            OSError: no descriptor is left.
        """
        from millpond.queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    @_or_stdlib
    def Lock(self) -> Lock:  # type: ignore[override]
        """Return a lock for processes and threads, which is not recursive.

        If the process that holds it is killed or fails, the next `acquire()` raises
        `millpond.OwnerDied` once, and the lock works again.

        Raises:
            OSError: no descriptor is left.
        """
        from millpond.synchronize import Lock

        return Lock(ctx=self.get_context())

    @_or_stdlib
    def RLock(self) -> RLock:  # type: ignore[override]
        """Return a recursive lock, which only the thread that holds it can release.

        If the process that holds it is killed or fails, the next `acquire()` raises
        `millpond.OwnerDied` once, and the lock works again.

        Raises:
            OSError: no descriptor is left.
        """
        from millpond.synchronize import RLock

        return RLock(ctx=self.get_context())

    @_or_stdlib
    def Semaphore(self, value: int = 1) -> Semaphore:  # type: ignore[override]
        """Return a semaphore with *value* permits.

        Raises:
            OSError: *value* is negative, or no descriptor is left.
        """
        from millpond.synchronize import Semaphore

        return Semaphore(value, ctx=self.get_context())

    @_or_stdlib
    def BoundedSemaphore(self, value: int = 1) -> BoundedSemaphore:  # type: ignore[override]
        """Return a semaphore with *value* permits, whose `release()` never exceeds that number.

        Raises:
            OSError: *value* is negative, or no descriptor is left.
        """
        from millpond.synchronize import BoundedSemaphore

        return BoundedSemaphore(value, ctx=self.get_context())

    @_or_stdlib
    def Condition(self, lock: LockLike | None = None) -> Condition:  # type: ignore[override]
        """Return a condition variable.

        Args:
            lock: the `Lock` or `RLock` to use; by default, a new `RLock`.

        Raises:
            TypeError: processes cannot share *lock*, such as one of `threading`.
            OSError: no descriptor is left.
        """
        from millpond.synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    @_or_stdlib
    def Event(self) -> Event:  # type: ignore[override]
        """Return an event: a flag that is initially false and can be waited for.

        Raises:
            OSError: no descriptor is left.
        """
        from millpond.synchronize import Event

        return Event(ctx=self.get_context())

    @_or_stdlib
    def Barrier(  # type: ignore[override]
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> Barrier:
        """Return a barrier for *parties* processes or threads.

        Args:
            parties: how many must call `wait()` before any of them continues.
            action: called by one of them when all have arrived.
            timeout: how many seconds `wait()` waits by default; None waits without a limit.

        Raises:
            ValueError: *parties* is not positive.
            OSError: no descriptor is left.
        """
        from millpond.synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def set_pickle_by_value(self, enabled: bool) -> None:
        """Choose whether what plain pickle refuses travels by value.

        Lambdas, closures and local classes do, unless it is switched off: in tasks, in items of
        queues and messages of pipes, in a process's target and arguments, and in the initializer of
        a pool or an executor and its arguments. Switched off, all these are refused with plain
        pickle's error, as in `multiprocessing`. The choice is this process's, whatever the context,
        and that of the processes that it starts from then on.

        Args:
            enabled: whether it travels.

        Example:
            >>> import millpond
            >>> millpond.set_pickle_by_value(False)
            >>> millpond.set_pickle_by_value(True)
        """
        from millpond._pickling import by_value

        by_value.enable(enabled)

    def set_deadlock_errors(self, enabled: bool) -> None:
        """Choose whether a wait that nobody alive can end raises `Deadlock`.

        It does, unless it is switched off here or by the environment variable
        `MILLPOND_DEADLOCK_ERRORS=0`. The choice is this process's, whatever the context, and that
        of the processes that it forks from then on.

        Args:
            enabled: whether it raises; otherwise it waits.

        Example:
            >>> import millpond
            >>> millpond.set_deadlock_errors(False)
            >>> millpond.set_deadlock_errors(True)
        """
        from millpond._engine_loader import load_engine

        load_engine().enable_deadlock_errors(bool(enabled))

    def freeze_support(self) -> None:
        """Run the child's code if a frozen program was started as a child process.

        Call it first in the main module. It calls `multiprocessing.freeze_support` where the tool
        that froze the program has replaced that.
        """
        import multiprocessing

        own = multiprocessing.freeze_support
        if isinstance(getattr(own, "__self__", None), _stdlib.BaseContext):
            super().freeze_support()
        else:
            own()

    def cpu_count(self) -> int:
        """Return the number of CPUs that this process may use.

        Unlike `multiprocessing.cpu_count`, which counts the machine's CPUs, this respects the CPU
        affinity mask and the quota of control groups.

        Example:
            >>> import millpond
            >>> millpond.cpu_count() >= 1
            True
        """
        from millpond._engine_loader import load_engine

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
    """The context of the functions in `millpond`, which uses the start method set globally."""

    if TYPE_CHECKING:
        Process: ClassVar[type[_DefaultProcess]]
    else:
        Process = Process

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

    if TYPE_CHECKING:
        Process: ClassVar[type[ForkProcess]]
    else:
        Process = ForkProcess


class SpawnContext(BaseContext, _stdlib.SpawnContext):
    """Children are fresh interpreters."""

    if TYPE_CHECKING:
        Process: ClassVar[type[SpawnProcess]]
    else:
        Process = SpawnProcess


class ForkServerContext(BaseContext, _stdlib.ForkServerContext):
    """Children are forked from a server process that has no threads."""

    if TYPE_CHECKING:
        Process: ClassVar[type[ForkServerProcess]]
    else:
        Process = ForkServerProcess


_concrete_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
_default_context: DefaultContext = DefaultContext()


def _ours_or(context: Any) -> Any:
    """Return millpond's context of the same start method, or one that only the stdlib knows."""
    return _concrete_contexts.get(context._name, context)
