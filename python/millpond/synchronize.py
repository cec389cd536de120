"""Locks, semaphores, conditions, events and barriers for processes, on millpond's engine.

The names, arguments, results and exceptions are those of `multiprocessing.synchronize`. The objects
are in anonymous shared memory: nothing has a name in the system or has to be cleaned up.

If a process is killed, or fails, while it holds a lock, the next `acquire()` raises
`millpond.OwnerDied` once and the lock works again; permits of a semaphore are returned. A process
that ends normally (its target returned, or its program ended with status 0) keeps what it holds, as
with the standard library. However a process ends, a barrier at which it waits breaks, and
conditions and events keep working.

The objects can be passed to processes as arguments, in queues and pipes, and in the arguments of
tasks.

Example:
    >>> import millpond
    >>> lock = millpond.Lock()
    >>> with lock:
    ...     lock
    <Lock(owner=MainProcess)>
"""

from __future__ import annotations

import threading
import time
from multiprocessing import process

from millpond import _cpython, _ends
from millpond._engine_loader import load_engine
from millpond._pickling import handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing import synchronize as _stdlib
    from typing import Any, Protocol, TypeAlias, TypeVar

    import millpond._engine as _engine

    T = TypeVar("T")

    LockLike: TypeAlias = "Lock | RLock | _stdlib.Lock | _stdlib.RLock"

    class Acquire(Protocol):
        """The method `acquire` of a lock."""

        def __call__(self, block: bool = True, timeout: float | None = None) -> bool: ...

else:
    _engine = load_engine()

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

_ends.watch()

RECURSIVE_MUTEX, SEMAPHORE = range(2)
SEM_VALUE_MAX = 2**31 - 1


class SemLock:
    """The base class of locks and semaphores, which cannot be instantiated."""

    __slots__ = ()
    _kind = SEMAPHORE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("SemLock is only a base class: make a Lock, an RLock or a Semaphore")

    def locked(self) -> bool:
        """Return whether it is held: the next to acquire it would have to wait."""
        return self._semlock._is_zero()

    @property
    def _semlock(self) -> SemLockView:
        return SemLockView(self)

    @staticmethod
    def _make_name() -> str:
        # Nothing has a name in the system, but programs may show this one.
        return f"{process.current_process()._config['semprefix']}-millpond"  # type: ignore[attr-defined]


class SemLockView:
    """The attribute `_semlock` of the standard library's locks, for programs that read it."""

    SEM_VALUE_MAX = SEM_VALUE_MAX

    __slots__ = ("_lock",)

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    @property
    def kind(self) -> int:
        """`RECURSIVE_MUTEX` for a recursive lock, else `SEMAPHORE`."""
        kind: int = self._lock._kind
        return kind

    @property
    def maxvalue(self) -> int:
        """The largest number of permits."""
        return self._lock._bound() if isinstance(self._lock, _engine.Semaphore) else 1

    @property
    def name(self) -> str:
        """A text that identifies the lock in this process; it has no name in the system."""
        return f"millpond-{id(self._lock):x}"

    @property
    def handle(self) -> int:
        """The descriptor of the shared memory."""
        fd: int = self._lock._fd()
        return fd

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire the lock; see `Lock.acquire`."""
        acquired: bool = self._lock.acquire(block, timeout)
        return acquired

    def release(self) -> None:
        """Release the lock; see `Lock.release`."""
        self._lock.release()

    def __enter__(self) -> bool:
        entered: bool = self._lock.__enter__()
        return entered

    def __exit__(self, *args: object) -> None:
        self._lock.__exit__(*args)

    def _is_mine(self) -> bool:
        mine: bool = self._lock._is_mine()
        return mine

    def _count(self) -> int:
        count: int = self._lock._count()
        return count

    def _get_value(self) -> int:
        value: int = self._lock._get_value()
        return value

    def _is_zero(self) -> bool:
        return self._get_value() == 0


def _owner(lock: Lock | RLock) -> str:
    """Return the name of the process and thread that hold the lock, as in the stdlib's reprs."""
    if lock._is_mine():
        name = process.current_process().name
        thread = threading.current_thread().name
        return name if thread == "MainThread" else f"{name}|{thread}"
    if lock._get_value() == 1:
        return "None"
    return "SomeOtherThread" if lock._count() else "SomeOtherProcess"


class Lock(_engine.Lock, SemLock):
    """A lock for processes and threads, which is not recursive. Any thread may release it.

    `acquire()` and `with` raise `millpond.OwnerDied` once if the process that held the lock was
    killed or failed; the lock works again then.

    Args:
        ctx: ignored; the locks of all contexts are the same.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={_owner(self)})>"


class RLock(_engine.RLock, SemLock):
    """A recursive lock for processes and threads, which only the thread that holds it can release.

    `acquire()` and `with` raise `millpond.OwnerDied` once if the process that held the lock was
    killed or failed; the lock works again then.

    Args:
        ctx: ignored; the locks of all contexts are the same.
    """

    _kind = RECURSIVE_MUTEX

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        owner = _owner(self)
        count = {"None": "0", "SomeOtherThread": "nonzero", "SomeOtherProcess": "nonzero"}
        return f"<{type(self).__name__}({owner}, {count.get(owner) or self._count()})>"


class Semaphore(_engine.Semaphore, SemLock):
    """A semaphore for processes and threads: a counter of free permits.

    Permits held by a process that is killed or fails are returned, provided that every `release()`
    was made by a process that held a permit. A semaphore that some processes acquire and others
    release carries signals, whose owner is not known.

    Args:
        value: the initial number of permits.
        ctx: ignored; the semaphores of all contexts are the same.

    Raises:
        OSError: *value* is negative.
    """

    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._start(value, False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A semaphore whose `release()` raises ValueError above the initial number of permits.

    Args:
        value: the initial and the largest number of permits.
        ctx: ignored; the semaphores of all contexts are the same.

    Raises:
        OSError: *value* is negative.
    """

    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._start(value, True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._bound()})>"


class Condition(_engine.Condition):
    """A condition variable for processes and threads.

    `acquire` and `release` are those of the lock, and `with` holds it.

    Args:
        lock: the `Lock` or `RLock` to use; by default, a new `RLock`.
        ctx: the context that makes the new lock.

    Raises:
        TypeError: processes cannot share *lock*, such as one of `threading`.
    """

    if TYPE_CHECKING:
        acquire: Acquire
        release: Callable[[], None]

    def __init__(self, lock: LockLike | None = None, *, ctx: Any = None) -> None:
        if lock is None:
            lock = RLock() if ctx is None else ctx.RLock()
        self._take_lock(lock)

    def _take_lock(self, lock: Any) -> None:
        self._use(lock)
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release

    def __reduce__(self) -> tuple[Any, ...]:
        return (*handles.reduce(self), self._lock)

    def __setstate__(self, lock: Any) -> None:
        self._take_lock(lock)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until a predicate is true; it is evaluated with the lock held.

        Args:
            predicate: called first, and again after each notification.
            timeout: how many seconds to wait at most; None waits without a limit.

        Returns:
            The last value of the predicate: a false one if the time ran out.

        Raises:
            AssertionError: the calling thread does not hold the lock, and would have to wait.
            OwnerDied: as for `wait`.
        """
        result = predicate()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not result:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock}, {self._waiting()})>"

    # The standard library has semaphores there, whose values some programs read.

    @property
    def _sleeping_count(self) -> Count:
        return Count(self._waiting)

    @property
    def _woken_count(self) -> Count:
        return Count(int)

    @property
    def _wait_semaphore(self) -> Count:
        return Count(self._notified)


class Count:
    """A number with the interface of a semaphore's value."""

    __slots__ = ("get_value",)

    def __init__(self, get_value: Callable[[], int]) -> None:
        self.get_value: Callable[[], int] = get_value

    @property
    def _semlock(self) -> Count:
        return self

    def _get_value(self) -> int:
        return self.get_value()

    def _is_zero(self) -> bool:
        return self.get_value() == 0

    def __repr__(self) -> str:
        return f"<Semaphore(value={self.get_value()})>"


class Event(_engine.Event):
    """An event for processes and threads: a flag that is initially false and can be waited for.

    Args:
        ctx: ignored; the events of all contexts are the same.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        status = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {status}>"


class Barrier(_engine.Barrier, threading.Barrier):
    """A barrier for *parties* processes or threads: each waits until all have arrived.

    The barrier breaks, and waiting parties get `threading.BrokenBarrierError`, if a process that
    has arrived dies, if a party's timeout expires, or if a signal handler raises in one. It also
    breaks, with `BarrierDeadlock` in one of them, if all living processes that have the barrier
    wait at it and none of them can be the missing party.

    Args:
        parties: how many must call `wait()` before any of them continues.
        action: called by one of them when all have arrived.
        timeout: how many seconds `wait()` waits by default; None waits without a limit.
        ctx: ignored; the barriers of all contexts are the same.

    Raises:
        ValueError: *parties* is not positive.
    """

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
    ) -> None:
        # `threading.Barrier` is a base class for `isinstance` alone; its `__init__` is not called.
        self._start(parties)
        self._action = action
        self._timeout = timeout

    def __reduce__(self) -> tuple[Any, ...]:
        return (*handles.reduce(self), (self._action, self._timeout))

    def __setstate__(self, state: tuple[Any, Any]) -> None:
        self._action, self._timeout = state

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}: {state}>"


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
