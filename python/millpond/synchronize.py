"""Locks, semaphores, conditions, events and barriers of processes, on millpond's engine.

The names, arguments, results and exceptions are those of `multiprocessing.synchronize`. They lie in
anonymous shared memory: nothing has a name in the system, and what a process held when it died is
not held for ever. The next to acquire its lock gets `millpond.OwnerDied`, once; a semaphore's
permits come back; a barrier breaks; conditions and events go on.

They may be passed to processes when those are started, and also in items of queues and in the
arguments of tasks.

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

from millpond import _engine, _handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

RECURSIVE_MUTEX, SEMAPHORE = range(2)
SEM_VALUE_MAX = 2**31 - 1


class SemLock:
    """What locks and semaphores have in common."""

    __slots__ = ()
    _kind = SEMAPHORE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("SemLock is only a base class: make a Lock, an RLock or a Semaphore")

    @property
    def _semlock(self) -> SemLockView:
        return SemLockView(self)

    @staticmethod
    def _make_name() -> str:
        # Nothing has a name in the system, but programs may show this one.
        return f"{process.current_process()._config['semprefix']}-millpond"  # type: ignore[attr-defined]


class SemLockView:
    """What the standard library keeps in `_semlock`, for programs that look there."""

    SEM_VALUE_MAX = SEM_VALUE_MAX

    __slots__ = ("_lock",)

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    @property
    def kind(self) -> int:
        """Whether it is reentrant."""
        kind: int = self._lock._kind
        return kind

    @property
    def maxvalue(self) -> int:
        """The most permits it may have."""
        return self._lock._bound() if isinstance(self._lock, _engine.Semaphore) else 1

    @property
    def name(self) -> str:
        """Some text: there is no name in the system."""
        return f"millpond-{id(self._lock):x}"

    @property
    def handle(self) -> int:
        """The descriptor of the memory that it lies in."""
        fd: int = self._lock._fd()
        return fd

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire it."""
        acquired: bool = self._lock.acquire(block, timeout)
        return acquired

    def release(self) -> None:
        """Release it."""
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
    """Return the name of who holds it, as far as this process knows."""
    if lock._is_mine():
        name = process.current_process().name
        thread = threading.current_thread().name
        return name if thread == "MainThread" else f"{name}|{thread}"
    if lock._get_value() == 1:
        return "None"
    return "SomeOtherThread" if lock._count() else "SomeOtherProcess"


class Lock(_engine.Lock, SemLock):
    """A lock that is held by one thread of one process, and that anybody may release.

    `acquire` and `with` raise `millpond.OwnerDied` once if the holder died.

    Args:
        ctx: not needed, as all start methods share the same locks.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={_owner(self)})>"


class RLock(_engine.RLock, SemLock):
    """A lock that the thread which holds it may acquire again, and that nobody else may release.

    `acquire` and `with` raise `millpond.OwnerDied` once if the holder died.

    Args:
        ctx: not needed, as all start methods share the same locks.
    """

    _kind = RECURSIVE_MUTEX

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        owner = _owner(self)
        count = {"None": "0", "SomeOtherThread": "nonzero", "SomeOtherProcess": "nonzero"}
        return f"<{type(self).__name__}({owner}, {count.get(owner) or self._count()})>"


class Semaphore(_engine.Semaphore, SemLock):
    """A number of permits, which are acquired and released.

    What a process held when it died is given back, as long as only processes that hold permits
    release some: a semaphore that one process acquires and another releases sends messages, and
    those have no owner.

    Args:
        value: how many permits there are at first.
        ctx: not needed, as all start methods share the same semaphores.

    Raises:
        OSError: the value is negative.
    """

    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._start(value, False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A semaphore that refuses, with ValueError, to have more permits than at first.

    Args:
        value: how many permits there are at first, and at most.
        ctx: not needed, as all start methods share the same semaphores.

    Raises:
        OSError: the value is negative.
    """

    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._start(value, True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._bound()})>"


class Condition(_engine.Condition):
    """Where threads of any process wait until another notifies them, under a lock.

    Args:
        lock: a `Lock` or `RLock` of processes; an `RLock` of its own by default.
        ctx: the context whose `RLock` that is.

    Raises:
        TypeError: the lock cannot be shared by processes, as one of `threading`.
    """

    def __init__(self, lock: Any = None, *, ctx: Any = None) -> None:
        if lock is None:
            lock = RLock() if ctx is None else ctx.RLock()
        self._take_lock(lock)

    def _take_lock(self, lock: Any) -> None:
        self._use(lock)
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release

    def __reduce__(self) -> tuple[Any, ...]:
        return (*_handles.reduce(self), self._lock)

    def __setstate__(self, lock: Any) -> None:
        self._take_lock(lock)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until the predicate is true, and return its value, or its last one in time."""
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

    # Where the standard library keeps semaphores, for programs that look at their values.

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
    """A number that reads like a semaphore's value."""

    __slots__ = ("get_value",)

    def __init__(self, get_value: Callable[[], int]) -> None:
        self.get_value = get_value

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
    """A flag that processes set, clear and wait for.

    Args:
        ctx: not needed, as all start methods share the same events.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        pass

    def __repr__(self) -> str:
        status = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {status}>"


class Barrier(_engine.Barrier, threading.Barrier):
    """Where so many parties wait for each other, and go on together.

    It breaks, with `threading.BrokenBarrierError` for all that wait, when one that has arrived
    dies, gives up at its timeout, or is interrupted by an exception of a signal handler.

    Args:
        parties: how many must arrive.
        action: called by one of them when all have arrived, before they go on.
        timeout: how many seconds `wait` waits by default; for ever if None.
        ctx: not needed, as all start methods share the same barriers.

    Raises:
        ValueError: there are no parties.
    """

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
    ) -> None:
        # No call of the threads' barrier's: this one has nothing of it but the name.
        self._start(parties)
        self._action = action
        self._timeout = timeout

    def __reduce__(self) -> tuple[Any, ...]:
        return (*_handles.reduce(self), (self._action, self._timeout))

    def __setstate__(self, state: tuple[Any, Any]) -> None:
        self._action, self._timeout = state

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}: {state}>"
