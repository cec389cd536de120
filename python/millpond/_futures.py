"""The calls that an executor was asked for, and the futures of their results."""

from __future__ import annotations

import threading
from concurrent import futures
from concurrent.futures import _base
from typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

__all__ = ["Call", "Future"]

T = TypeVar("T")


class Future(futures.Future[T]):
    """A `concurrent.futures.Future` that can be awaited, and cancelled until a worker begins.

    Example:
        >>> import millpond
        >>> with millpond.ProcessPoolExecutor(1) as executor:
        ...     executor.submit(pow, 2, 10).result(timeout=10)
        1024
    """

    _call: Call | None = None
    """What is to be done, until it is done."""

    def cancel(self) -> bool:
        """Keep the call from running, and return whether it will not run.

        It does not if no worker has begun it.
        """
        if super().cancel():
            return True
        call = self._call
        return call is not None and call.take_back(call)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        return asyncio.wrap_future(self).__await__()

    def _become_cancelled(self) -> None:
        """Turn from running to cancelled: the call was taken back before a worker began it."""
        with self._condition:
            self._state = _base.CANCELLED
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]
        self.set_running_or_notify_cancel()

    def _fail_in_child(self, error: BaseException) -> None:
        """Fail in a forked child, where nobody else will settle it.

        A thread that does not exist here may have held the future's lock.
        """
        self._condition = threading.Condition()
        if self.cancelled():
            # Whoever waits for it wants to hear of it in this way.
            self._state = _base.CANCELLED_AND_NOTIFIED
        elif not self.done():
            self._exception = error
            self._state = _base.FINISHED
        self._call = None


class Call:
    """One call, or a chunk of them, and what is known of its way to a worker."""

    __slots__ = (
        "arguments",
        "first",
        "function",
        "future",
        "items",
        "job",
        "op",
        "refusal",
        "take_back",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        op: int,
        arguments: Any,
        items: int,
        first: int,
        take_back: Callable[[Call], bool],
    ) -> None:
        """Make the call with its future.

        Args:
            function: what to call.
            op: how the worker is to apply it; see `millpond._worker`.
            arguments: as the operation wants them.
            items: how many items a chunk has.
            first: the place of the first of them among all of its `map`.
            take_back: keeps a call from running that was handed to the pool, if it can.
        """
        self.function: Any = function
        self.op = op
        self.arguments = arguments
        self.items = items
        self.first = first
        self.take_back = take_back
        self.job: int | None = None
        self.refusal: BaseException | None = None
        """What `submit` raises, because the pool took it no more."""
        self.future: Future[Any] = Future()
        self.future._call = self

    def release(self) -> None:
        """Let go of what was only needed to send it."""
        self.function = self.arguments = None
