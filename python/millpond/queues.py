"""Queues for processes and threads, on millpond's engine.

The names, arguments, results and exceptions are those of `multiprocessing.queues`. When `put`
returns, the item is in anonymous shared memory, which grows up to the machine's memory. There is no
feeder thread: `put` itself raises the error of an object that cannot be pickled, a process can exit
right after its last `put`, and a process that is killed loses only items that it has taken.

Example:
    >>> import millpond
    >>> queue = millpond.Queue()
    >>> queue.put_many(["one", 2, [3]])
    >>> queue.get()
    'one'
    >>> queue.get_many(10)
    [2, [3]]
"""

from __future__ import annotations

import multiprocessing.context as _stdlib
import operator
import os
import threading
from queue import Empty, Full
from weakref import WeakValueDictionary

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._generic import Parameter
from millpond._pickling import handles
from millpond.exceptions import TasksLost
from millpond.synchronize import SEM_VALUE_MAX, Count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Self

    from typing_extensions import TypeVar

    import millpond._engine as _engine

    T = TypeVar("T", default=Any)
else:
    T = Parameter
    _engine = load_engine()

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]


class _Engine(_engine.Queue[T]):
    """The base class of the three kinds of queues: how they are pickled, and their ends."""

    def _travel(self) -> tuple[Any, ...]:
        """Return what `_arrive` takes, in another process."""
        popen = _stdlib.get_spawning_popen()
        if popen is None:
            return handles.wire_handle(self), None
        from multiprocessing.reduction import DupFd

        memory, readiness = self._fds()
        wire_handle = self._wire_handle(None if handles.starts_one_process(popen) else False)
        return wire_handle, (DupFd(memory), DupFd(readiness))

    def _arrive(self, wire_handle: bytes, duplicates: tuple[Any, Any] | None) -> None:
        if duplicates is None:
            self._attach(wire_handle, None)
        else:
            memory, readiness = duplicates
            self._attach(wire_handle, (memory.detach(), readiness.detach()))

    def _refuse(self) -> NoReturn:
        # The words of the standard library, whose queues show no more of themselves.
        raise ValueError(f"Queue {object.__repr__(self)} is closed")

    def _unsent(self, error: BaseException, obj: object) -> None:
        """Handle an item that cannot be pickled: the engine calls this."""
        raise error

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._state()}>"

    def _state(self) -> str:
        """Return what `repr` tells of the queue; it works before `__init__` and after `close`."""
        if self._closed:
            return "closed"
        try:
            return f"items={self.qsize()}"
        except RuntimeError:
            return "uninitialized"

    def _poll(self, timeout: float | None = 0.0) -> bool:
        return self._reader.poll(timeout)

    @property
    def _reader(self) -> Reader:
        return Reader.of(self)

    @property
    def _writer(self) -> Writer:
        return Writer.of(self)


_making_ends = threading.Lock()
"""Held while the end of a queue is made."""


def _free_in_child() -> None:
    # The thread that held it does not exist there.
    global _making_ends
    _making_ends = threading.Lock()


os.register_at_fork(after_in_child=_free_in_child)


class _End:
    """An end of a queue with the interface of a pipe's, which the standard library has there."""

    # By the queue's `id`, which is unique as long as the end refers to the queue.
    _ends: WeakValueDictionary[int, Any]

    def __init_subclass__(cls) -> None:
        cls._ends = WeakValueDictionary()

    def __init__(self, queue: _Engine[Any]) -> None:
        self._queue = queue

    @classmethod
    def of(cls, queue: _Engine[Any]) -> Self:
        """Return the end of a queue: always the same object, as selectors and `wait` need."""
        end: Self | None = cls._ends.get(id(queue))
        if end is None:
            # Looking and keeping is two steps, even of `setdefault`.
            with _making_ends:
                end = cls._ends.setdefault(id(queue), cls(queue))
        return end

    @property
    def closed(self) -> bool:
        """Whether the queue is closed in this process."""
        return self._queue._closed

    def close(self) -> None:
        """Do nothing: the two ends of a queue are closed together, by the queue's `close`."""


class Reader(_End):
    """The end from which items are taken; `multiprocessing.connection.wait` can wait for it."""

    readable: bool = True
    writable: bool = False

    def fileno(self) -> int:
        """Return a descriptor that is readable while the queue has items; do not read from it."""
        if self._queue._closed:
            raise OSError("handle is closed")
        return self._queue._watch()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Return whether there is an item.

        Args:
            timeout: how many seconds to wait for one; None waits without a limit.
        """
        if timeout is not None and timeout != timeout:
            raise ValueError("timeout must be a number of seconds or None, not nan")
        if not self._queue.empty():
            return True
        if timeout is not None and timeout <= 0:
            return False
        from millpond.connection import wait

        return bool(wait([self], timeout))

    def recv(self) -> Any:
        """Take an item, as the queue's `get` does."""
        return self._queue.get()


class Writer(_End):
    """The end at which items are put."""

    readable: bool = False
    writable: bool = True

    def fileno(self) -> int:
        """Return the descriptor of the queue's memory, which is always writable."""
        if self._queue._closed:
            raise OSError("handle is closed")
        return self._queue._fds()[0]

    def send(self, obj: Any) -> None:
        """Put an item, as the queue's `put` does."""
        self._queue.put(obj)


class Queue(_Engine[T]):
    """A first-in, first-out queue for any number of processes and threads.

    Args:
        maxsize: the largest number of items (unbounded if <= 0).
        ctx: ignored; the queues of all contexts are the same.

    Raises:
        TypeError: *maxsize* is not an integer.
        OverflowError: *maxsize* is 2**31 or more.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        self._begin(maxsize, False)

    def _begin(self, maxsize: int, tasks: bool) -> None:
        try:
            maxsize = operator.index(maxsize)
        except TypeError:
            message = f"maxsize must be an integer, not {maxsize!r} ({type(maxsize).__name__})"
            raise TypeError(message) from None
        self._maxsize = SEM_VALUE_MAX if maxsize <= 0 else maxsize
        self._ignore_epipe = False
        self._start(max(maxsize, 0), tasks)

    def _state(self) -> str:
        state = super()._state()
        maxsize: int = vars(self).get("_maxsize", SEM_VALUE_MAX)
        is_bounded = not self._closed and maxsize < SEM_VALUE_MAX
        return f"{state} maxsize={maxsize}" if is_bounded else state

    def __getstate__(self) -> Any:
        return self._ignore_epipe, self._maxsize, self._travel()

    def __setstate__(self, state: Any) -> None:
        self._ignore_epipe, self._maxsize, arrival = state
        self._arrive(*arrival)

    def empty(self) -> bool:
        """Return whether there is no item now, which others may change at any time.

        Raises:
            OSError: the queue is closed in this process and has items.
        """
        # As in the standard library, where closing a queue that was not used does nothing.
        return (self._closed and self.qsize() == 0) or super().empty()

    def get_nowait(self) -> T:
        """Remove and return the first item; do not wait.

        Raises:
            queue.Empty: there is no item.
            Exception: as for `get`.
        """
        return self.get(False)

    def put_nowait(self, obj: T) -> None:
        """Put an item at the end of the queue; do not wait.

        Raises:
            queue.Full: there is no room.
            Exception: as for `put`.
        """
        self.put(obj, False)

    def join_thread(self) -> None:
        """Return at once: there is no feeder thread, all items are in shared memory.

        Raises:
            AssertionError: the queue is not closed in this process.
        """
        assert self._closed, f"Queue {object.__repr__(self)} not closed"

    def cancel_join_thread(self) -> None:
        """Return at once: there is no feeder thread, and no item is lost."""

    def _terminate_broken(self) -> None:
        self.close()

    def _unsent(self, error: BaseException, obj: object) -> None:
        hook = self._on_queue_feeder_error
        if hook is Queue._on_queue_feeder_error:
            raise error
        try:
            raise error
        except Exception:
            # The standard library's feeder thread calls this method of subclasses, too.
            hook(error, obj)

    @staticmethod
    def _on_queue_feeder_error(e: BaseException, obj: object) -> None:
        """Handle an item that cannot be pickled; `put` calls it if a subclass overrides it."""
        import traceback

        traceback.print_exc()


class JoinableQueue(Queue[T]):
    """A queue that counts unfinished items, with `task_done()` and `join()`.

    Args:
        maxsize: the largest number of items (unbounded if <= 0).
        ctx: ignored; the queues of all contexts are the same.

    Raises:
        TypeError: *maxsize* is not an integer.
        OverflowError: *maxsize* is 2**31 or more.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        self._begin(maxsize, True)

    def task_done(self) -> None:
        """Report that an item taken from the queue is done.

        Raises:
            ValueError: called more often than items were put.
        """
        self._task_done()

    def join(self) -> None:
        """Block until `task_done()` was called for every item.

        Raises:
            TasksLost: processes died before they called `task_done()` for items they had taken.
                These items count as done from now on: `join()` can be called again.
        """
        lost = self._join()
        if lost:
            raise TasksLost(lost)

    @property
    def _unfinished_tasks(self) -> Count:
        return Count(self._unfinished)


class SimpleQueue(_Engine[T]):
    """An unbounded queue, for which `get`, `put`, `empty` and `close` suffice.

    Args:
        ctx: ignored; the queues of all contexts are the same.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        self._start(0, False)

    def __getstate__(self) -> Any:
        return self._travel()

    def __setstate__(self, state: Any) -> None:
        self._arrive(*state)

    def _refuse(self) -> NoReturn:
        raise OSError("handle is closed")


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
