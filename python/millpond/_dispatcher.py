"""What stands between an executor and its pool: the backlog, and the thread that settles futures.

A call waits in the backlog until the pool may have it, which is when fewer than a bounded number
are there. Then its arguments are pickled and its future is running. The engine may still give the
call back, until a worker begins it.

The executor holds its dispatcher, never the other way round: so an executor of which nobody knows
any more is collected, and its dispatcher finishes what there is and ends. Everything is guarded by
one lock, with three exceptions that a collection may bring about in any thread at any time:
`release` takes no lock; the lock is re-entrant; and `_feed` does not enter itself.

The callbacks of futures run without the lock.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from multiprocessing import util

from millpond._broken import BrokenExecutor, ForeignExecutor, as_of_future
from millpond.exceptions import BrokenPool, PoolTerminated
from millpond.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from millpond._futures import Call

__all__ = ["Dispatcher"]

_AHEAD = 64
"""Calls that the pool has at most, for each worker; as many as a worker takes ahead of time."""


class Dispatcher:
    """Hands calls to a pool and settles their futures, for one executor."""

    def __init__(self, make_pool: Callable[[], Pool], workers: int) -> None:
        """Make the dispatcher; the pool is made when there is something to do.

        Args:
            make_pool: makes the pool.
            workers: how many it will have.
        """
        self._make_pool = make_pool
        self._ahead = _AHEAD * workers
        self._lock = threading.RLock()
        self._backlog: deque[Call] = deque()
        self._handed: dict[int, Call] = {}
        self._settling: Call | None = None
        self._failed: deque[tuple[Call, BaseException]] = deque()
        self._feeding = False
        self._finalizer: Any = None
        self._owner: int | None = None
        self.pool: Pool | None = None
        self.thread: threading.Thread | None = None
        self.closing = False
        self.broken: str | None = None

    def submit(self, call: Call) -> None:
        """Have a call done.

        Raises:
            RuntimeError: the executor was shut down, or the interpreter is about to end.
            BrokenExecutor: the executor is broken.
            ForeignExecutor: it belongs to another process.
            OSError: the pool cannot be started.
        """
        try:
            with self._lock:
                self._check()
                if self.pool is None:
                    self._start()
                self._backlog.append(call)
                self._feed()
                rejected = None if call.job else self.broken
        finally:
            self._settle_failed()
        if rejected is not None:
            raise BrokenExecutor(rejected)

    def take_back(self, call: Call) -> bool:
        """Keep a call from running that the pool has, unless a worker has begun it."""
        with self._lock:
            job = call.job
            if job is None or self.pool is None or self._handed.get(job) is not call:
                return False
            if not self.pool._engine.cancel(job):
                return False
            del self._handed[job]
            self.pool._engine.abandon(job)
            self._feed()
        call.future._become_cancelled()
        self._settle_failed()
        return True

    def cancel_all(self) -> None:
        """Cancel every call that no worker has begun."""
        with self._lock:
            waiting = list(self._backlog)
            self._backlog.clear()
            handed = list(self._handed.values())
        for call in waiting:
            call.future.cancel()
            call.future._call = None
            call.future.set_running_or_notify_cancel()
        # The latest first: workers begin the others meanwhile.
        for call in reversed(handed):
            call.future.cancel()

    def release(self) -> None:
        """Take no more calls; end when those that there are have been done. Takes no lock."""
        self.closing = True
        # Whoever takes the last call from the backlog looks at `closing` after that.
        if not self._backlog:
            self._close_pool()

    def join(self) -> None:
        """Wait until all is done and the pool has ended, unless that is up to this very thread."""
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def finish(self) -> None:
        """Do all that is to be done, and end."""
        self.release()
        self.join()

    def disown(self) -> None:
        """Fail everything in a forked child of the owner: nobody will do it here."""
        pending = [*self._handed.values(), *self._backlog]
        if self._settling is not None:
            pending.append(self._settling)
        for call in pending:
            call.future._fail_in_child(self._foreign())
        self._lock = threading.RLock()
        self._backlog.clear()
        self._handed.clear()
        self.thread = self._settling = None

    def is_foreign(self) -> bool:
        """Return whether the pool belongs to another process."""
        return self._owner not in (None, os.getpid())

    def _foreign(self) -> ForeignExecutor:
        return ForeignExecutor(
            f"this executor belongs to process {self._owner}, of which this one is a forked "
            "child: make an executor of its own here"
        )

    def _check(self) -> None:
        if self.is_foreign():
            raise self._foreign()
        if self.broken is not None:
            raise BrokenExecutor(self.broken)
        if self.closing:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _start(self) -> None:
        self._owner = os.getpid()
        pool = self._make_pool()
        try:
            thread = threading.Thread(target=self._run, name="millpond-executor", daemon=True)
            self.pool, self.thread = pool, thread
            thread.start()
        except BaseException:
            self.pool = self.thread = None
            pool.terminate()
            raise
        _live.add(self)
        # In a child process of multiprocessing, finalizers run before the threads' exit functions;
        # it comes before the one that terminates the pool.
        self._finalizer = util.Finalize(None, self.finish, exitpriority=20)

    def _feed(self) -> None:
        """Hand over as many calls as the pool may have; note those that cannot be sent."""
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._backlog and len(self._handed) < self._ahead:
                # It stays there until the pool has it, so that `release` does not close too early.
                call = self._backlog[0]
                try:
                    if call.future.set_running_or_notify_cancel():
                        self._hand(call)
                    else:
                        call.future._call = None
                except BrokenPool as error:
                    self.broken = str(error)
                    self._failed += [(lost, as_of_future(error)) for lost in self._backlog]
                    self._backlog.clear()
                except BaseException as error:
                    self._failed.append((call, error.with_traceback(None)))
                    if not isinstance(error, Exception):
                        # Ctrl-C in `submit`, whose caller will not have the future.
                        raise
                finally:
                    if self._backlog and self._backlog[0] is call:
                        self._backlog.popleft()
        finally:
            self._feeding = False
            if self.closing and not self._backlog:
                self._close_pool()

    def _hand(self, call: Call) -> None:
        pool = self.pool
        assert pool is not None, "it was started"
        function, label = pool._encode(call.function)
        job = pool._engine.submit(function, label, call.op, call.items, call.arguments, True)
        call.job = job
        self._handed[job] = call
        call.release()

    def _close_pool(self) -> None:
        pool = self.pool
        if pool is not None and not self.is_foreign():
            pool.close()

    def _run(self) -> None:
        """Settle futures as their calls end, until the pool has ended."""
        pool = self.pool
        assert pool is not None, "the thread is started after the pool"
        engine = pool._engine
        while (job := engine.wait_notified()) is not None:
            with self._lock:
                self._settling = self._handed.pop(job, None)
                self._feed()
            if self._settling is not None:
                self._settle(engine, self._settling, job)
                self._settling = None
            else:
                engine.abandon(job)
            self._settle_failed()
        self._end(pool)

    def _settle(self, engine: Any, call: Call, job: int) -> None:
        try:
            (value,) = engine.take(job, 0, call.first)
        except BaseException as error:
            if isinstance(error, BrokenPool):
                # Before anybody learns of it who might submit another call.
                self.broken = self.broken or str(error)
            _fail(call, as_of_future(error))
        else:
            _guarded(call.future.set_result, value)
            call.future._call = None
        finally:
            engine.abandon(job)

    def _settle_failed(self) -> None:
        """Fail the futures of calls that could not be sent; without the lock."""
        while self._failed:
            try:
                call, error = self._failed.popleft()
            except IndexError:
                # Another thread was quicker.
                return
            _fail(call, error)

    def _end(self, pool: Pool) -> None:
        """Fail what is left, and leave nothing behind."""
        with self._lock:
            if not self.closing and self.broken is None:
                self.broken = _why_broken(pool)
            self.closing = True
            reason = PoolTerminated("the executor ended before the call was done")
            for call in (*self._handed.values(), *self._backlog):
                self._failed.append((call, as_of_future(reason)))
            self._handed.clear()
            self._backlog.clear()
        self._settle_failed()
        pool.terminate()
        # It has descriptors for as long as somebody has it.
        self.pool = None
        _live.discard(self)
        if self._finalizer is not None:
            self._finalizer.cancel()


def _why_broken(pool: Pool) -> str:
    """Return what the engine says of a pool that ended by itself."""
    try:
        pool._engine.begin(b"", "", False, False)
    except Exception as error:
        return str(error)
    return "the pool has ended"


def _fail(call: Call, error: BaseException) -> None:
    future = call.future
    future._call = None
    if future.running() or future.set_running_or_notify_cancel():
        _guarded(future.set_exception, error)


def _guarded(settle_future: Callable[[Any], None], value: Any) -> None:
    """Settle a future, whatever its callbacks raise: others wait for theirs."""
    try:
        settle_future(value)
    except BaseException as error:
        threading.excepthook(
            threading.ExceptHookArgs((type(error), error, None, threading.current_thread()))
        )


_live: set[Dispatcher] = set()
"""Those of this process whose thread runs."""
_exiting = False


def _finish_all() -> None:
    """Have everything done before the interpreter ends, as `concurrent.futures` does."""
    global _exiting
    _exiting = True
    own = [dispatcher for dispatcher in list(_live) if not dispatcher.is_foreign()]
    for dispatcher in own:
        dispatcher.release()
    try:
        for dispatcher in own:
            dispatcher.join()
    finally:
        # After Ctrl-C the pools are to be terminated, not waited for once more.
        for dispatcher in own:
            if dispatcher._finalizer is not None:
                dispatcher._finalizer.cancel()


def _disown_all() -> None:
    for dispatcher in list(_live):
        dispatcher.disown()
    _live.clear()


threading._register_atexit(_finish_all)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_disown_all)
