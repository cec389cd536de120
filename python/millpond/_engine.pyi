"""The engine of millpond, compiled from Rust."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import GenericAlias
from typing import Any, Generic, Self, final, type_check_only

from _typeshed import ReadableBuffer, WriteableBuffer
from typing_extensions import TypeVar, disjoint_base

from millpond._pool.launch import Launcher

__all__ = [
    "WARNING_SIGNAL",
    "Attachments",
    "Barrier",
    "Condition",
    "Connection",
    "Event",
    "ForkedZygote",
    "GuardedNumber",
    "GuardedNumbers",
    "Lock",
    "NewWorker",
    "Pool",
    "Progress",
    "Queue",
    "RLock",
    "Rings",
    "Semaphore",
    "SharedBytes",
    "TaskOptions",
    "TemplateClient",
    "Worker",
    "ZygoteFds",
    "__version__",
    "cpu_count",
    "decode",
    "enable_deadlock_errors",
    "encode",
    "fork_in_vain",
    "has_signal_handlers",
    "is_pipe",
    "keep_holdings",
    "pipe",
    "serve_template",
    "wait_for_arrivals",
    "wait_readable",
]

__version__: str

_T = TypeVar("_T", default=Any)
_SendT = TypeVar("_SendT", contravariant=True, default=Any)
_RecvT = TypeVar("_RecvT", covariant=True, default=Any)

def cpu_count() -> int: ...
def wait_for_arrivals(timeout: float) -> bool: ...
def keep_holdings() -> None: ...
def encode(value: object) -> bytes | None: ...
def decode(data: bytes) -> Any: ...
def pipe() -> tuple[int, int, Rings | None]: ...
def is_pipe(fd: int) -> bool: ...
def enable_deadlock_errors(enabled: bool) -> None: ...
def has_signal_handlers(allowed: list[int]) -> bool: ...
def wait_readable(awaited: list[int | Connection], timeout: float | None) -> list[bool]: ...

WARNING_SIGNAL: int

@final
class Rings:
    def __new__(cls, fd: int) -> Self: ...
    def fileno(self) -> int: ...
    def give(self) -> None: ...

@disjoint_base
class Connection(Generic[_SendT, _RecvT]):
    def __new__(cls, handle: int, readable: bool = True, writable: bool = True) -> Self: ...
    @property
    def closed(self) -> bool:
        """Whether the connection is closed in this process."""
    @property
    def readable(self) -> bool:
        """Whether the connection can receive."""
    @property
    def writable(self) -> bool:
        """Whether the connection can send."""
    @property
    def _handle(self) -> int | None: ...
    def _shown(self) -> int: ...
    def _attach(self, rings: Rings, side: int, given: bool) -> None: ...
    def _rings(self) -> tuple[Rings, int] | None: ...
    def _detach(self) -> None: ...
    def fileno(self) -> int:
        """Return the descriptor of the connection, for `select` and its like.

        Raises:
            OSError: the connection is closed.
        """
    def close(self) -> None:
        """Close the connection in this process. A second call does nothing.

        The other end gets `EOFError` once no process has this end open and all was received.
        """
    def send(self, obj: _SendT) -> None:
        """Send an object to the other end, waiting while the pipe is full.

        Args:
            obj: any object that can be pickled. Changes after the call do not reach the receiver.

        Raises:
            BrokenPipeError: no process has the other end open any more.
            OSError: the connection is closed or read-only.
            Exception: whatever pickling raises. Nothing was sent.
        """
    def send_bytes(self, buf: ReadableBuffer, offset: int = 0, size: int | None = None) -> None:
        """Send bytes as one message, waiting while the pipe is full.

        Args:
            buf: an object with the buffer interface, such as `bytes`.
            offset: where in it the message starts.
            size: how many bytes the message has; by default, all from `offset` on.

        Raises:
            ValueError: the offset or size is negative or reaches beyond the end of the buffer.
            BrokenPipeError: no process has the other end open any more.
            OSError: the connection is closed or read-only.
        """
    def recv(self) -> _RecvT:
        """Receive an object, waiting until one was sent.

        Raises:
            EOFError: nothing is left to receive and no process has the other end open any more.
            OSError: the connection is closed or write-only.
            Exception: whatever unpickling raises. The message is gone then.
        """
    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Receive a message as bytes, waiting until one was sent.

        Args:
            maxlength: how many bytes the message may have; any number by default.

        Raises:
            EOFError: nothing is left to receive and no process has the other end open any more.
            OSError: the connection is closed or write-only, or the message is longer than
                `maxlength`. After the latter nothing more can be received.
            ValueError: `maxlength` is negative.
        """
    def recv_bytes_into(self, buf: WriteableBuffer, offset: int = 0) -> int:
        """Receive a message into a buffer, waiting until one was sent.

        Args:
            buf: a writable object with the buffer interface, such as `bytearray`.
            offset: where in it the message is written.

        Returns:
            The length of the message in bytes.

        Raises:
            multiprocessing.BufferTooShort: the message does not fit; `args[0]` is the message.
            EOFError: nothing is left to receive and no process has the other end open any more.
            OSError: the connection is closed or write-only.
            TypeError: the buffer is not writable.
            ValueError: the offset is negative or beyond the end of the buffer.
        """
    def poll(self, timeout: float | None = 0.0) -> bool:
        """Return whether there is a message to receive, or the end of the messages.

        Args:
            timeout: how many seconds to wait for one; None waits without a limit.

        Raises:
            OSError: the connection is closed or write-only.
            ValueError: the timeout is nan.
        """
    def __enter__(self) -> Self:
        """Return the connection, which the end of the `with` statement closes."""
    def __exit__(self, *_exception: object) -> None:
        """Close the connection."""
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

@final
class TaskOptions:
    def __new__(
        cls,
        priority: int,
        timeout: float | None,
        grace: float,
        retries: int,
        retry_deaths: bool,
        retry_timeouts: bool,
        retry_delay: float,
    ) -> TaskOptions: ...

@final
class Pool:
    def __new__(
        cls,
        size: tuple[int, int, float],
        tasks_per_worker: int | None,
        traced: bool,
        fragile: bool,
        limits: tuple[int | None, float | None],
        launcher: Launcher,
        dumps: Callable[[Any], Any],
        apart: Callable[[Any], tuple[bytes, Callable[[object], Any]] | None],
        loads: Callable[[Any, list[Any]], Any],
    ) -> Pool: ...
    @property
    def zygote_pid(self) -> int: ...
    def submit(
        self,
        function: bytes | Callable[..., Any],
        label: str,
        op: int,
        items: int,
        arguments: object,
        options: TaskOptions | None = None,
    ) -> int: ...
    def begin(
        self,
        function: bytes | Callable[..., Any],
        label: str,
        fail_fast: bool,
        options: TaskOptions | None = None,
        streams: bool = False,
    ) -> int: ...
    def extend(self, job: int, op: int, items: list[Any], chunk: int) -> int: ...
    def seal(self, job: int) -> None: ...
    def wait(self, job: int, index: int | None = None, timeout: float | None = None) -> bool: ...
    def is_reached(self, job: int, index: int | None = None) -> bool: ...
    def take(self, job: int, index: int, chunk: int) -> tuple[Any, BaseException | None] | None: ...
    def settle(
        self,
        job: int,
        task: object,
        chosen: int,
        chunk: int | None,
        first_item: int,
        on_error: int,
        states: tuple[str, str, str],
    ) -> bool: ...
    def abandon(self, job: int) -> None: ...
    def discard(self, job: int) -> None: ...
    def wait_for_room(self, job: int, most: int) -> None: ...
    def progress(self, job: int) -> tuple[int, int, bool] | None: ...
    def backlog(self) -> tuple[list[int], int]: ...
    def check_works(self) -> None: ...
    def cancel(self, jobs: list[int] | None) -> int: ...
    def give_up(self, job: int, running: bool = False) -> bool: ...
    def is_handed(self, job: int) -> bool: ...
    def notify(self, job: int) -> bool: ...
    def wait_notified(self) -> int | None: ...
    def close(self) -> None: ...
    def terminate(self) -> None: ...
    def wait_ended(self, timeout: float | None = None) -> bool: ...
    def wait_started(self, timeout: float | None = None) -> bool: ...
    def workers(self) -> list[tuple[int, int, int | None, int]]: ...
    def end_of_worker(self, number: int) -> tuple[bool, int | None]: ...
    def resize(self, size: tuple[int, int, float]) -> None: ...
    def size(self) -> tuple[int, int, int, int, int]: ...
    def levels(self) -> list[tuple[int, int, float, int, float, float]]: ...
    def reserve(self, count: int) -> int: ...
    def wait_to_reserve(self, most: int) -> int: ...
    def release(self, count: int) -> None: ...
    def stats(self) -> tuple[int, int, int, int, int, int, int, int]: ...
    def timeline(self, title: str) -> tuple[str, str] | None: ...

@disjoint_base
class GuardedNumber:
    def __new__(cls, object: object, lock: RLock, memory: SharedBytes, code: str) -> Self: ...
    @property
    def value(self) -> Any:
        """The number. Reading and writing it take the lock."""
    @value.setter
    def value(self, value: Any) -> None: ...
    def get_lock(self) -> RLock:
        """Return the lock."""
    def add(self, amount: Any) -> Any:
        """Add to the value under its lock, and return the sum.

        The sum is as ctypes stores it: integers wrap around.

        Raises:
            TypeError: the amount is no number of the value's kind.
            OwnerDied: the process that held the lock was killed or failed. Nothing was added, the
                value is as that process left it, and the lock is free again.
        """

@disjoint_base
class GuardedNumbers:
    def __new__(cls, length: int, lock: RLock, memory: SharedBytes, code: str) -> Self: ...
    def get_lock(self) -> RLock:
        """Return the lock."""
    def add(self, index: int, amount: Any) -> Any:
        """Add to one element under the lock, and return the sum.

        The sum is as ctypes stores it: integers wrap around.

        Raises:
            IndexError: there is no such element.
            TypeError: the amount is no number of the elements' kind.
            OwnerDied: the process that held the lock was killed or failed. Nothing was added, the
                element is as that process left it, and the lock is free again.
        """

@final
class SharedBytes:
    def __new__(cls, length: int) -> SharedBytes: ...
    @property
    def address(self) -> int: ...
    def __len__(self) -> int: ...
    def _wire_handle(self, sent: bool | None) -> bytes: ...
    def _fd(self) -> int: ...
    @staticmethod
    def _open(wire_handle: bytes, fd: int | None = None) -> SharedBytes: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Worker:
    @property
    def is_foreign(self) -> bool: ...
    @property
    def is_ending(self) -> bool: ...
    @property
    def holds_task(self) -> bool: ...
    def ready(self) -> None: ...
    def unfit(
        self, account: bytes, exception: bytes, _attachments: Attachments | None = None
    ) -> None: ...
    def next(self) -> tuple[int, int, int] | None: ...
    def arguments(self) -> Any: ...
    def function(self, number: int) -> bytes: ...
    def forgotten(self) -> list[int]: ...
    def finish(self, value: object) -> None: ...
    def fail(
        self,
        account: bytes,
        exception: bytes,
        attachments: Attachments | None = None,
        again: bool = False,
    ) -> None: ...
    def heed_warnings(self) -> None: ...
    def warned(self) -> tuple[float, float] | None: ...
    def at_items(self, first: int, count: int) -> None: ...

@final
class Attachments:
    def __new__(cls) -> Attachments: ...
    def add(self, wire_handle: bytes) -> None: ...
    def add_descriptor(self, fd: int) -> int: ...

@final
class Progress:
    def __new__(cls, items: Iterable[Any], worker: Worker) -> Progress: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...

@final
class ZygoteFds:
    def fork_zygote(self) -> int | NewWorker: ...

@final
class ForkedZygote: ...

@final
class TemplateClient:
    def __new__(cls) -> TemplateClient: ...
    def numbers(self) -> list[int]: ...
    def started(self) -> None: ...
    def request(self, number: int, fds: ZygoteFds, passed: Sequence[int]) -> None: ...
    def answer(self, wait: float) -> tuple[str, int, ForkedZygote | OSError | None] | None: ...

def fork_in_vain() -> int: ...
def serve_template(socket: int, lifeline: int, owner: int) -> NewWorker: ...

@final
class NewWorker:
    @property
    def number(self) -> int: ...
    @property
    def tag(self) -> int: ...
    @property
    def passed(self) -> list[int]: ...
    def attach(
        self,
        dumps: Callable[
            [Any], Sequence[bytes | memoryview] | tuple[Sequence[bytes | memoryview], Attachments]
        ],
        loads: Callable[[Any, list[Any]], Any],
    ) -> Worker: ...

@type_check_only
class _Handle:
    """What `millpond._pickling.handles` pickles."""

    def _wire_handle(self, sent: bool | None) -> bytes: ...
    def _fd(self) -> int: ...
    @classmethod
    def _open(cls, wire_handle: bytes, fd: int | None) -> Self: ...

@disjoint_base
class Lock(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire the lock, waiting until it is free.

        Args:
            block: whether to wait. False takes the lock only if it is free now.
            timeout: how many seconds to wait at most; None waits without a limit, and a negative
                number does not wait.

        Returns:
            True if the lock was acquired; False if it was not free, or not within the timeout.

        Raises:
            OwnerDied: the process that held the lock was killed or failed. The lock is free again;
                what it guards may be half changed. One call raises this, once for each death.
            ValueError: the timeout is nan.
        """
    def release(self) -> None:
        """Release the lock. Any thread of any process may, not only the one that acquired it.

        Raises:
            ValueError: the lock is not held.
        """
    def __enter__(self) -> bool:
        """Acquire the lock as `acquire()` does, for the `with` statement; return True.

        Raises:
            OwnerDied: as for `acquire`. The body does not run, and the lock is free again.
        """
    def __exit__(
        self, _type: object = None, _value: object = None, _traceback: object = None, /
    ) -> None:
        """Release the lock at the end of a `with` statement."""
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...

@disjoint_base
class RLock(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire the lock, waiting until it is free.

        A thread that holds the lock already acquires it once more and has to release it as often.

        Args:
            block: whether to wait. False takes the lock only if it is free now.
            timeout: how many seconds to wait at most; None waits without a limit, and a negative
                number does not wait.

        Returns:
            True if the lock was acquired; False if it was not free, or not within the timeout.

        Raises:
            OwnerDied: the process that held the lock was killed or failed. The lock is free again;
                what it guards may be half changed. One call raises this, once for each death.
            ValueError: the timeout is nan.
        """
    def release(self) -> None:
        """Release the lock; it becomes free with the last release of as many as it was acquired.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
    def __enter__(self) -> bool:
        """Acquire the lock as `acquire()` does, for the `with` statement; return True.

        Raises:
            OwnerDied: as for `acquire`. The body does not run, and the lock is free again.
        """
    def __exit__(
        self, _type: object = None, _value: object = None, _traceback: object = None, /
    ) -> None:
        """Release the lock at the end of a `with` statement."""
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...

@disjoint_base
class Semaphore(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire a permit, waiting until there is one.

        Args:
            block: whether to wait. False takes a permit only if there is one now.
            timeout: how many seconds to wait at most; None waits without a limit, and a negative
                number does not wait.

        Returns:
            True if a permit was acquired; False if there was none, or none within the timeout.

        Raises:
            ValueError: the timeout is nan.
            OSError: 2,045 processes hold permits, and no more can be told apart (EDQUOT).
            MemoryError: there is no memory to note that this process holds a permit.
        """
    def release(self) -> None:
        """Add a permit, and wake one waiter. Any process may, also one that acquired none.

        Raises:
            ValueError: there would be more permits than the semaphore may have: the initial value
                of a `BoundedSemaphore`, 2**31 - 1 of a `Semaphore`.
        """
    def __enter__(self) -> bool:
        """Acquire a permit as `acquire()` does, for the `with` statement; return True."""
    def __exit__(
        self, _type: object = None, _value: object = None, _traceback: object = None, /
    ) -> None:
        """Release the permit at the end of a `with` statement."""
    def _is_mine(self) -> bool: ...
    def _count(self) -> int: ...
    def _get_value(self) -> int: ...
    def get_value(self) -> int:
        """Return the current number of free permits, which others may change at any time."""
    def _start(self, value: int, is_bounded: bool) -> None: ...
    def _bound(self) -> int: ...

@disjoint_base
class Condition(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def _use(self, lock: Any) -> None: ...
    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, block until notified, and acquire the lock again.

        A recursive lock is released completely, and acquired again as often as it was held.

        Args:
            timeout: how many seconds to wait at most for the notification; None waits without a
                limit. Acquiring the lock again is not limited.

        Returns:
            True if notified; False if the time ran out.

        Raises:
            AssertionError: the calling thread does not hold the lock.
            Deadlock: no living process can notify the caller, which holds the lock.
            OwnerDied: the process that held the lock meanwhile was killed or failed. The caller
                holds the lock, as always after waiting; another waiter is notified instead.
            ValueError: the timeout is nan.
        """
    def notify(self, n: int = 1) -> None:
        """Wake waiters, those first that have waited longest. They run once the lock is released.

        Args:
            n: how many to wake at most.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
    def notify_all(self) -> None:
        """Wake all waiters. They run, one after the other, once the lock is released.

        Raises:
            AssertionError: the calling thread does not hold the lock.
        """
    def __enter__(self) -> bool:
        """Acquire the condition's lock for the `with` statement; return True.

        Raises:
            OwnerDied: as for `Lock.acquire`. The body does not run, and the lock is free again.
        """
    def __exit__(self, *args: object) -> None:
        """Release the condition's lock at the end of a `with` statement."""
    def _waiting(self) -> int: ...
    def _notified(self) -> int: ...

@disjoint_base
class Event(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def is_set(self) -> bool:
        """Return whether the flag is set."""
    def set(self) -> None:
        """Set the flag and wake all waiters."""
    def clear(self) -> None:
        """Clear the flag: later calls of `wait` block until it is set again."""
    def wait(self, timeout: float | None = None) -> bool:
        """Block until the flag is set; return at once if it is.

        Args:
            timeout: how many seconds to wait at most; None waits without a limit.

        Returns:
            True if the flag was set, even if it has been cleared since; False if the time ran out.

        Raises:
            ValueError: the timeout is nan.
        """

@disjoint_base
class Barrier(_Handle):
    def __new__(cls, *_args: Any, **kwargs: Any) -> Self: ...
    def _start(self, parties: int) -> None: ...
    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have called `wait`, then continue together with them.

        The last party to arrive runs the barrier's action, if it has one, before any continues.

        Args:
            timeout: how many seconds to wait at most; by default, the barrier's own timeout.

        Returns:
            The index of this party, from 0 to `parties - 1`: each gets a different one.

        Raises:
            threading.BrokenBarrierError: the barrier is broken, or was broken or reset meanwhile:
                by `abort` or `reset`, by the timeout or the interruption of a party, or because a
                process that had arrived died.
            BarrierDeadlock: nobody alive can be the party that is missing. The barrier is broken.
            ValueError: the timeout is nan.
            Exception: whatever the action raises, which breaks the barrier.
        """
    def abort(self) -> None:
        """Break the barrier: parties that wait, and later ones, get `threading.BrokenBarrierError`.

        It stays broken until `reset`.
        """
    def reset(self) -> None:
        """Make the barrier empty and usable again.

        Parties that wait get `threading.BrokenBarrierError`.
        """
    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
    @property
    def n_waiting(self) -> int:
        """The number of parties that are waiting now."""
    @property
    def parties(self) -> int:
        """The number of parties that have to arrive."""

@disjoint_base
class Queue(Generic[_T]):
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def _start(self, maxsize: int, tasks: bool) -> None: ...
    def _attach(self, wire_handle: bytes, fds: tuple[int, int] | None) -> None: ...
    def _wire_handle(self, sent: bool | None) -> bytes: ...
    def _fds(self) -> tuple[int, int]: ...
    def _watch(self) -> int: ...
    def put(self, obj: _T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item at the end of the queue, waiting while the queue is full.

        The item is pickled at once and is in shared memory when this returns; later changes of the
        object do not reach the receiver.

        Args:
            obj: any object that can be pickled.
            block: whether to wait for room. False raises `queue.Full` if there is none.
            timeout: how many seconds to wait at most; None waits without a limit.

        Raises:
            queue.Full: there was no room, or none within the timeout.
            ValueError: the queue is closed in this process, the item is larger than a queue can
                hold, or the timeout is nan.
            MemoryError: the machine has no memory for the item.
            Exception: whatever pickling raises. The queue is unchanged.
        """
    def put_many(
        self, items: Iterable[_T], block: bool = True, timeout: float | None = None
    ) -> None:
        """Put all items of an iterable, in order, waiting while the queue is full.

        Items of other processes may come between them. All are pickled before the first is put.

        Args:
            items: the objects to put.
            block: whether to wait for room. False puts as many as there is room for.
            timeout: how many seconds to wait at most, for all of them; None waits without a limit.

        Raises:
            queue.Full: there was not enough room, or not within the timeout. The first `put` items,
                an attribute of this and of the other exceptions, are in the queue.
            ValueError: the queue is closed in this process, an item is larger than a queue can
                hold, or the timeout is nan.
            MemoryError: the machine has no memory for the items.
            Exception: whatever the iterable or pickling raises; then no item was put.
        """
    def get(self, block: bool = True, timeout: float | None = None) -> _T:
        """Remove and return the first item, waiting for one while the queue is empty.

        Args:
            block: whether to wait. False raises `queue.Empty` if there is no item now.
            timeout: how many seconds to wait at most; None waits without a limit.

        Raises:
            queue.Empty: there was no item, or none within the timeout.
            ValueError: the queue is closed in this process, or the timeout is nan.
            MemoryError: there is no memory for the item, which stays in the queue.
            Exception: whatever unpickling raises. The item is taken nevertheless.
        """
    def get_many(self, max: int, block: bool = True, timeout: float | None = None) -> list[_T]:
        """Remove and return several items, waiting for the first one alone.

        Args:
            max: how many items to return at most.
            block: whether to wait. False raises `queue.Empty` if there is no item now.
            timeout: how many seconds to wait at most; None waits without a limit.

        Returns:
            The first items of the queue in order: one at least, and as many as there are up to
            `max`.

        Raises:
            queue.Empty: there was no item, or none within the timeout.
            ValueError: the queue is closed in this process, `max` is 0, or the timeout is nan.
            OverflowError: `max` is negative.
            Exception: whatever unpickling raises. All items were taken; the attribute `received` of
                the exception has those that did unpickle.
        """
    def qsize(self) -> int:
        """Return the number of items, which others may change at any time."""
    def empty(self) -> bool:
        """Return whether there is no item now, which others may change at any time.

        Raises:
            OSError: the queue is closed in this process.
        """
    def full(self) -> bool:
        """Return whether `put` would have to wait now, which others may change at any time."""
    def close(self) -> None:
        """Close this process's end of the queue: `put` and `get` raise `ValueError` from now on.

        Other processes and what is in the queue are not affected, and nothing waits.
        """
    @property
    def _closed(self) -> bool: ...
    def _unfinished(self) -> int: ...
    def _task_done(self) -> None: ...
    def _join(self) -> int: ...
