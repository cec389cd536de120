"""Queues of processes, on millpond's engine.

The names, arguments, results and exceptions are those of `multiprocessing.queues`. When `put`
returns, the item is in anonymous shared memory, whose size nothing but the machine bounds: no
thread feeds a pipe, so what does not pickle is an error of `put` itself, a process may end at once
after its last `put`, and a process that is killed takes along what it has taken, and nothing else.

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
import types
from queue import Empty, Full

from millpond import _engine
from millpond.exceptions import TasksLost
from millpond.synchronize import SEM_VALUE_MAX, Count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]


class _Engine(_engine.Queue):
    """What the three kinds of queues have in common: how they travel, and their ends."""

    __class_getitem__ = classmethod(types.GenericAlias)  # type: ignore[var-annotated]

    def _travel(self) -> tuple[Any, ...]:
        """Return what `_arrive` takes, in another process."""
        if _stdlib.get_spawning_popen() is None:
            return self._ticket(True), None
        from multiprocessing.reduction import DupFd

        memory, token = self._fds()
        return self._ticket(False), (DupFd(memory), DupFd(token))

    def _arrive(self, ticket: bytes, duplicates: tuple[Any, Any] | None) -> None:
        if duplicates is None:
            self._attach(ticket, None)
        else:
            memory, token = duplicates
            self._attach(ticket, (memory.detach(), token.detach()))

    def _refuse(self) -> NoReturn:
        raise ValueError(f"Queue {self!r} is closed")

    def _unsent(self, error: BaseException, obj: object) -> None:
        """What becomes of an item that cannot be pickled; the engine calls this."""
        raise error

    def _poll(self, timeout: float | None = 0.0) -> bool:
        return self._reader.poll(timeout)

    @property
    def _reader(self) -> Reader:
        return Reader(self)

    @property
    def _writer(self) -> Writer:
        return Writer(self)


class _End:
    """An end of a queue, for programs that look for one where the standard library has a pipe's."""

    def __init__(self, queue: _Engine) -> None:
        self._queue = queue

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._queue is self._queue

    def __hash__(self) -> int:
        return hash((type(self), id(self._queue)))

    @property
    def closed(self) -> bool:
        """Whether the queue is closed in this process."""
        return self._queue._closed

    def close(self) -> None:
        """Do nothing: the queue is one thing, and closed as one."""


class Reader(_End):
    """Where items come out; `multiprocessing.connection.wait` can wait for it."""

    readable, writable = True, False

    def fileno(self) -> int:
        """Return a descriptor that is readable while the queue has items; do not read from it."""
        if self._queue._closed:
            raise OSError("handle is closed")
        return self._queue._watch()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Return whether there is an item, waiting for one for so many seconds."""
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
    """Where items go in."""

    readable, writable = False, True

    def fileno(self) -> int:
        """Return the descriptor of the queue's memory, which is always writable."""
        if self._queue._closed:
            raise OSError("handle is closed")
        return self._queue._fds()[0]

    def send(self, obj: Any) -> None:
        """Put an item, as the queue's `put` does."""
        self._queue.put(obj)


class Queue(_Engine):
    """A first-in first-out queue that any number of processes and threads use.

    Args:
        maxsize: how many items it holds at most; any number if that is not positive.
        ctx: not needed, as all start methods share the same queues.

    Raises:
        TypeError: maxsize is no integer.
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

    def __getstate__(self) -> Any:
        return self._ignore_epipe, self._maxsize, self._travel()

    def __setstate__(self, state: Any) -> None:
        try:
            self._ignore_epipe, self._maxsize, arrival = state
        except ValueError:
            raise TypeError(
                f"this {type(self).__qualname__} comes from a process in which that class derives "
                "from the standard library's Queue; call millpond.install() before the module that "
                "defines it is imported"
            ) from None
        self._arrive(*arrival)

    def empty(self) -> bool:
        """Return whether there is no item, at this moment.

        Raises:
            OSError: the queue is closed, and has items.
        """
        # As in the standard library, where closing a queue that was not used does nothing.
        return (self._closed and self.qsize() == 0) or super().empty()

    def get_nowait(self) -> Any:
        """Take an item if there is one now, or raise `queue.Empty`."""
        return self.get(False)

    def put_nowait(self, obj: Any) -> None:
        """Put an item if there is room for it now, or raise `queue.Full`."""
        self.put(obj, False)

    def join_thread(self) -> None:
        """Return at once: there is no thread, and what was put is in shared memory.

        Raises:
            AssertionError: the queue is not closed.
        """
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """Return at once: there is no thread."""

    def _terminate_broken(self) -> None:
        self.close()

    def _unsent(self, error: BaseException, obj: object) -> None:
        hook = self._on_queue_feeder_error
        if hook is Queue._on_queue_feeder_error:
            raise error
        try:
            raise error
        except Exception:
            # A subclass wants to be told instead, as it is by the standard library's thread.
            hook(error, obj)

    @staticmethod
    def _on_queue_feeder_error(e: BaseException, obj: object) -> None:
        """Is called for an item that does not pickle, if a subclass overrides it."""
        import traceback

        traceback.print_exc()


class JoinableQueue(Queue):
    """A queue that knows which of its items are done.

    Args:
        maxsize: how many items it holds at most; any number if that is not positive.
        ctx: not needed, as all start methods share the same queues.
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        self._begin(maxsize, True)

    def task_done(self) -> None:
        """Say that an item which was taken is done.

        Raises:
            ValueError: all items that were put are done already.
        """
        self._task_done()

    def join(self) -> None:
        """Wait until all items are done.

        Raises:
            TasksLost: processes died that had taken items and had not said that they are done.
                These count as done from now on, so one may join again.
        """
        lost = self._join()
        if lost:
            raise TasksLost(lost)

    @property
    def _unfinished_tasks(self) -> Count:
        return Count(self._unfinished)


class SimpleQueue(_Engine):
    """A queue without a bound, and with fewer methods.

    Args:
        ctx: not needed, as all start methods share the same queues.
    """

    def __init__(self, *, ctx: Any = None) -> None:
        self._start(0, False)

    def __getstate__(self) -> Any:
        return self._travel()

    def __setstate__(self, state: Any) -> None:
        self._arrive(*state)

    def _refuse(self) -> NoReturn:
        raise OSError("handle is closed")
