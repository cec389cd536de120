"""What stands between an executor and its pool: the backlog, and the thread that settles futures.

A call waits in the backlog until the pool may have it, which is when fewer than a bounded number
are there. Then its arguments are pickled and its future is running. The engine may still give the
call back, until a worker begins it.

The executor holds its dispatcher, never the other way round: so an executor of which nobody knows
any more is collected, and its dispatcher finishes what there is and ends. Everything is guarded by
one lock, with three exceptions that a collection may bring about in any thread at any time:
`release` takes no lock; the lock is re-entrant; and `_feed` does not enter itself. So a pool may be
closed between the look at `closing` and the handing over; the call is then refused as if it had
come later.

The callbacks of futures run without the lock. They, and whatever else runs in another thread, may
fork: a child finds in `_unsettled` every call whose future is not done, wherever it was on its way.
"""

from __future__ import annotations

import os
import threading
import weakref
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
        self._unsettled: dict[Call, None] = {}
        self._failed: deque[tuple[Call, BaseException]] = deque()
        self._feeding = False
        self._finalizer: Any = None
        self._owner: int | None = None
        self.pool: Pool | None = None
        self.thread: threading.Thread | None = None
        self.closing = False
        self.broken: str | None = None
        _all.add(self)

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
                self._unsettled[call] = None
                self._backlog.append(call)
                self._feed(call)
        finally:
            self._settle_failed()
        if call.refusal is not None:
            raise call.refusal

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
        self._forget(call)
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
            call.future.set_running_or_notify_cancel()
            self._forget(call)
        # The latest first: workers begin the others meanwhile.
        for call in reversed(handed):
            call.future.cancel()

    def close(self) -> None:
        """Take no more calls; what another thread is just submitting is done, or refused, first."""
        with self._lock:
            self.closing = True

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
        # A thread that does not exist here may have had it.
        self._lock = threading.RLock()
        self._feeding = False
        for call in self._unsettled:
            call.future._fail_in_child(self._foreign())
        for calls in (self._unsettled, self._backlog, self._handed, self._failed):
            calls.clear()
        self.thread = None

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

    def _feed(self, submitted: Call | None = None) -> None:
        """Hand over as many calls as the pool may have; note those that cannot be sent.

        Args:
            submitted: the call that this is for, if somebody is just submitting one.
        """
        if self._feeding:
            return
        try:
            while self._may_hand():
                # Not for longer than a call takes: one that is submitted in this very thread while
                # the loop ends would find nobody to hand it over.
                self._feeding = True
                try:
                    if self._may_hand():
                        self._hand_first(submitted)
                finally:
                    self._feeding = False
        finally:
            if self.closing and not self._backlog:
                self._close_pool()

    def _may_hand(self) -> bool:
        return bool(self._backlog) and len(self._handed) < self._ahead

    def _hand_first(self, submitted: Call | None) -> None:
        """Hand over the call that has waited longest, or note why it cannot be sent."""
        # It stays there until the pool has it, so that `release` does not close too early.
        call = self._backlog[0]
        try:
            if call.future.set_running_or_notify_cancel():
                self._hand(call)
            else:
                self._forget(call)
        except BrokenPool as error:
            self.broken = str(error)
            for lost in self._backlog:
                lost.refusal = BrokenExecutor(self.broken)
                self._failed.append((lost, as_of_future(error)))
            self._backlog.clear()
        except BaseException as error:
            self._failed.append((call, self._why_not_sent(call, error)))
            if _is_the_caller_s(error, call is submitted):
                raise
        finally:
            if self._backlog and self._backlog[0] is call:
                self._backlog.popleft()

    def _hand(self, call: Call) -> None:
        pool = self.pool
        assert pool is not None, "it was started"
        function, label = pool._encode(call.function)
        job = pool._engine.submit(function, label, call.op, call.items, call.arguments, True)
        call.job = job
        self._handed[job] = call
        call.release()

    def _why_not_sent(self, call: Call, error: BaseException) -> BaseException:
        if self.closing and isinstance(error, ValueError) and str(error) == _CLOSED:
            call.refusal = RuntimeError("cannot schedule new futures after shutdown")
            return call.refusal
        return error.with_traceback(None)

    def _forget(self, call: Call) -> None:
        """Let go of a call whose future is done."""
        call.future._call = None
        self._unsettled.pop(call, None)

    def _close_pool(self) -> None:
        pool = self.pool
        if pool is not None and not self.is_foreign():
            pool.close()

    def _run(self) -> None:
        """Settle futures as their calls end, until the pool has ended."""
        pool = self.pool
        assert pool is not None, "the thread is started after the pool"
        try:
            self._settle_all(pool._engine)
        except BaseException as error:
            self.broken = self.broken or f"the executor's thread failed: {error!r}"
            raise
        finally:
            self._end(pool)

    def _settle_all(self, engine: Any) -> None:
        while (job := engine.wait_notified()) is not None:
            with self._lock:
                call = self._handed.pop(job, None)
                self._feed()
            if call is not None:
                self._settle(engine, call, job)
            else:
                engine.abandon(job)
            self._settle_failed()

    def _settle(self, engine: Any, call: Call, job: int) -> None:
        try:
            (value,) = engine.take(job, 0, call.first)
        except BaseException as error:
            if isinstance(error, BrokenPool):
                # Before anybody learns of it who might submit another call.
                self.broken = self.broken or str(error)
            self._fail(call, as_of_future(error))
        else:
            _guarded(call.future.set_result, value)
            self._forget(call)
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
            self._fail(call, error)

    def _fail(self, call: Call, error: BaseException) -> None:
        future = call.future
        if future.running() or future.set_running_or_notify_cancel():
            _guarded(future.set_exception, error)
        self._forget(call)

    def _end(self, pool: Pool) -> None:
        """Fail what is left, and leave nothing behind."""
        with self._lock:
            if not self.closing and self.broken is None:
                self.broken = _why_broken(pool)
            self.closing = True
            reason = self.broken or "the executor ended before the call was done"
            failed = {call for call, _ in self._failed}
            self._failed += [
                (call, as_of_future(PoolTerminated(reason)))
                for call in list(self._unsettled)
                if call not in failed
            ]
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


def _is_the_caller_s(error: BaseException, submitted: bool) -> bool:
    """Return whether what was raised while a call was sent is raised in who is feeding the pool.

    What ends programs is, for the future is lost with it; but a call that waited has a future, and
    ends nobody else's program. A Ctrl-C is always the main thread's.
    """
    if isinstance(error, KeyboardInterrupt):
        return submitted or threading.current_thread() is threading.main_thread()
    return submitted and not isinstance(error, Exception)


def _guarded(settle_future: Callable[[Any], None], value: Any) -> None:
    """Settle a future, whatever its callbacks raise: others wait for theirs."""
    try:
        settle_future(value)
    except BaseException as error:
        threading.excepthook(
            threading.ExceptHookArgs((type(error), error, None, threading.current_thread()))
        )


_CLOSED = "Pool not running"
"""What the engine says when a pool takes no more calls."""

_all: weakref.WeakSet[Dispatcher] = weakref.WeakSet()
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
    for dispatcher in list(_all):
        dispatcher.disown()
    _live.clear()


threading._register_atexit(_finish_all)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_disown_all)
