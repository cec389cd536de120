"""The input of `imap`, read ahead of the results but no further than they are wanted."""

from __future__ import annotations

import itertools
import operator
import os
import threading
from array import array
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from millpond._engine import Pool as Engine

__all__ = ["Input"]

_FIXED = (bytes, frozenset, range, str, tuple)
"""Types whose iterators never wait and always give the same."""
_CHANGING = (
    array,
    bytearray,
    deque,
    dict,
    list,
    set,
    *(type(getattr({}, view)()) for view in ("items", "keys", "values")),
)
"""Types whose iterators never wait, but give what the container holds by then."""


def _is_endless(iterable: Iterable[Any]) -> bool:
    """Return whether it is known to give items for ever."""
    if isinstance(iterable, itertools.repeat):
        return operator.length_hint(iterable, -1) < 0
    return isinstance(iterable, (itertools.count, itertools.cycle))


class Input:
    """What one call of `imap` works on, and how far that was read.

    Built-in containers are read by the thread that takes the results, as it takes them. Whatever
    else is iterable may wait, for the results among other things, so a thread of its own reads it
    and submits each chunk before it asks for the next. It waits while as many chunks as allowed
    are on their way, and ends with the input or with the pool.

    Attributes:
        taken: chunks whose results were taken; counted by the iterator.
    """

    def __init__(
        self,
        engine: Engine,
        job: int,
        op: int,
        call: int | None,
        iterable: Iterable[Any],
        chunksize: int,
        most: int,
        strict: bool,
        live: set[Input],
    ) -> None:
        """Begin to read.

        Args:
            engine: the pool's.
            job: where the chunks go.
            op: how workers apply the function to a chunk; see `millpond._pool.worker`.
            call: the number of the call, which items come after with their own; None for without.
            iterable: the items.
            chunksize: how many of them travel together.
            most: chunks that are submitted and not taken, at most.
            strict: `most` is what the program asked for, so no more is ever read.
            live: where this is kept until all is read, and its thread has ended.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        self.taken = 0
        self._engine = engine
        self._job = job
        self._op = op
        self._call = call
        self._numbers = itertools.count()
        self._chunksize = chunksize
        self._most = most
        # Read in batches, but before the workers run dry.
        self._refill = max(most // 4, 1)
        self._strict = strict
        self._live = live
        self._owner = os.getpid()
        kind = type(iterable)
        self._has_end = kind in _FIXED or kind in _CHANGING
        self._is_endless = _is_endless(iterable)
        self._items: Iterable[Any] | None = iterable
        self._iterator: Iterator[Any] | None = None
        self._submitted = 0
        # The thread that took results last.
        self._consumer: int | None = None
        self._thread: threading.Thread | None = None
        self._mutex = threading.RLock()
        self._changed = threading.Condition(self._mutex)
        self._is_in_source = False
        # Read to the end, whether results are taken or not.
        self._unbounded = False
        self._stop_when_full = False
        # When `join` looked last.
        self._taken_before = -1
        self._is_over = False
        # The pool ended before the input did.
        self._was_stopped = False
        # `join` was called while no results were taken.
        self._was_left = False
        self._error: BaseException | None = None
        for other in [other for other in list(live) if other._is_gone()]:
            live.discard(other)
        live.add(self)
        if not self._has_end:
            try:
                self._start()
            except BaseException:
                live.discard(self)
                raise
            return
        if kind in _CHANGING and len(iterable) >= most * chunksize:  # type: ignore[arg-type]
            # The results are those of what the container held when it was passed.
            self._items = tuple(iterable)
        self._feed(most)

    # For the iterator over the results.

    def advance(self) -> None:
        """Submit more if there should be; called before a result is waited for."""
        if self._consumer is None:
            # From now on the results say how far to read.
            self._unbounded = False
        self._consumer = threading.get_ident()
        if self._thread is None and not self._is_over:
            room = self.taken + self._most - self._submitted
            if room >= self._refill:
                self._feed(room)

    def took(self) -> None:
        """Note that the results of one chunk were taken."""
        # Locked although one thread alone counts, for the reader looks at it and then waits.
        with self._mutex:
            self.taken += 1
            if self.taken + self._most - self._submitted >= self._refill:
                self._changed.notify()

    def check_end(self) -> None:
        """Return if there are no more results because there were no more items.

        Raises:
            BaseException: what the iterable raised, once.
            PoolTerminated: the pool was terminated.
            BrokenPool: it broke.
            ValueError: the pool was joined, so the rest was not read.
        """
        # The thread, if it is done, has to be gone for programs that fork now.
        self._join_thread()
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self._was_stopped or not self._is_over:
            self._engine.check_works()
        if self._was_left:
            raise ValueError(
                "Pool not running: it was joined before the results of these items were taken, "
                "and what comes after them was not read"
            )

    def drop(self) -> None:
        """Results will not be taken any more."""
        if os.getpid() != self._owner:
            return
        if self._is_over:
            self._engine.abandon(self._job)
            return
        self._engine.discard(self._job)
        if self._has_end or not (self._consumer or self._strict):
            # As in the standard library, the call was made for what the tasks do.
            self.read_on()
        else:
            self._cut()

    @property
    def length(self) -> int | None:
        """How many chunks there are, when the last item was read."""
        return self._submitted if self._is_over else None

    def read_on(self) -> None:
        """Read to the end without waiting for results to be taken, if that is allowed."""
        if self._strict or self._is_over or self._unbounded:
            return
        self._unbounded = True
        try:
            self._start()
        except RuntimeError:
            # No thread: all at once, then.
            while self._thread is None and not self._is_over:
                self._feed(self._most)

    # For the pool.

    def close(self) -> None:
        """The pool takes no more calls."""
        if self._strict or self._is_endless:
            self._cut()
        elif self._consumer is None:
            self.read_on()

    def join(self) -> bool:
        """The calling thread waits until all is done; return whether to call this again."""
        if self._is_over:
            return False
        if self._has_end or self._consumer is None:
            self.read_on()
            return True
        others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        with self._changed:
            if self._consumer in others:
                # It may go on, and as long as it does no more is read than usual.
                self._unbounded = self.taken == self._taken_before
                self._taken_before = self.taken
            else:
                self._unbounded = False
                self._stop_when_full = True
            self._changed.notify()
        return True

    def stop(self) -> None:
        """The pool has ended. Wait for the thread, unless it is in the program's own code."""
        with self._changed:
            if not self._is_over:
                self._was_stopped = True
                self._end()
            self._changed.notify()
        self._join_thread()

    def _join_thread(self) -> None:
        """Wait for the thread if all is over and the thread in code of this module."""
        with self._changed:
            leaves = self._is_over and not self._is_in_source
            thread = self._thread if leaves else None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._live.discard(self)

    def _is_gone(self) -> bool:
        return self._is_over and not (self._thread and self._thread.is_alive())

    # Reading.

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None:
                self._changed.notify()
                return
            thread = threading.Thread(target=self._run, name="millpond-imap", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        try:
            while self._wait_for_room():
                items, more = self._read(self._chunksize)
                with self._changed:
                    self._is_in_source = False
                    if self._is_over:
                        return
                    self._submit(items, more)
        except BaseException as error:
            # No thread is to wait for what will never come.
            with self._changed:
                self._error = error
                self._end()
        finally:
            # A generator is closed here, in the thread that ran it.
            self._items = self._iterator = None

    def _wait_for_room(self) -> bool:
        """Return whether to go on, once another chunk may be submitted."""
        with self._changed:
            while not (self._is_over or self._unbounded or self._has_room()):
                if self._stop_when_full:
                    self._was_left = True
                    self._end()
                else:
                    self._changed.wait()
            wait_for_workers = self._unbounded and not self._is_over
        if wait_for_workers:
            # What they have not worked on is not to fill the memory.
            self._engine.wait_for_room(self._job, self._most - 1)
        with self._changed:
            if wait_for_workers and not self._is_over:
                self._stop_if_refused()
            self._is_in_source = not self._is_over
            return self._is_in_source

    def _has_room(self) -> bool:
        return self._submitted < self.taken + self._most

    def _stop_if_refused(self) -> None:
        try:
            self._engine.check_works()
        except Exception:
            self._was_stopped = True
            self._end()

    def _feed(self, count: int) -> None:
        """Submit so many more chunks, or as many as there are, in the calling thread."""
        if os.getpid() != self._owner:
            return
        with self._changed:
            if self._is_over or self._thread is not None:
                return
            self._submit(*self._read(count * self._chunksize))
            if not self._is_over:
                return
            self._iterator = None
            error = self._error
            if not (error is None or isinstance(error, Exception)):
                # Ctrl-C, in the thread that it is meant for.
                self._error = None
                raise error

    def _read(self, count: int) -> tuple[list[Any], bool]:
        """Return so many items, or as many as there are, and whether there may be more."""
        items: list[Any] = []
        try:
            if self._iterator is None:
                # What is not iterable says so here, in the place of the first result.
                iterable, self._items = self._items, None
                self._iterator = iter(iterable)  # type: ignore[arg-type]
            for item in itertools.islice(self._iterator, count):
                # One by one: whole chunks that came before an exception count.
                items.append(item)
        except BaseException as error:
            self._error = error
            # As in the standard library, the chunk that the error broke off is not worked on.
            del items[len(items) - len(items) % self._chunksize :]
            return items, False
        return items, len(items) == count

    def _submit(self, items: list[Any], more: bool) -> None:
        try:
            if self._call is not None:
                items = [(self._call, next(self._numbers), item) for item in items]
            self._submitted += self._engine.extend(self._job, self._op, items, self._chunksize)
        except BaseException as error:
            # Nothing more will come, and no thread is to wait for it.
            if self._error is None:
                self._error = error
            more = False
        if not more:
            self._end()

    def _cut(self) -> None:
        """Read no further."""
        with self._changed:
            self._end()
            self._changed.notify()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            if self._thread is None:
                self._live.discard(self)
            self._engine.seal(self._job)
