"""How a caller learns that a call of a pool has ended: the protocol, and its one thread.

**The engine owns every job.** It knows whether a job is over, keeps its outcomes until they are
taken, and decides every race: whether a call came before `close`, whether a call was cancelled
before a worker began it. Nothing in Python repeats that state.

**A `Task` is a handle of one job**, and a `concurrent.futures.Future`. It is in one of two modes.

- *Direct*: a new task has no condition and is in no table. A thread that asks for its result waits
  in the engine, where waiting threads do the pool's work, and takes the outcome itself.
- *Published*: the task has what `Future` has (condition, waiters, callbacks) and stands in the
  table of its pool's `Completions`. A task is published when anything asks for its condition
  (`add_done_callback`, `wait`, `as_completed`, `await`), or from the start if the call has
  callbacks. It never becomes direct again.

**Threads.** The first published task starts the thread of the pool; a pool without one has no
thread. The thread waits for jobs that are over, and settles their tasks. Settling means: take the
outcome from the engine, once, under the task's own lock; then store it and notify the waiters,
without any lock of this module. The task's lock decides which thread settles; a direct waiter and
the thread may both try. Lock order: `Completions.lock`, then nothing; the task's lock, then the
engine's. Code of the program (unpickling, callbacks) never runs under `Completions.lock`, except
the pickling of a call that has callbacks.

**Executors.** An executor's pool is *kept* by its thread, which starts with the first call: an
executor that is collected closes its pool, and the thread ends with the last call. The executor
refers to its `Completions`, never the other way round.

**Fork.** The child gets a new lock and no thread. Each task in the table becomes done there, with
`WrongProcess`; a task leaves the table only when it is done for every waiter, so a callback that
forks leaves none behind. A direct task asks the engine first, which in a child raises
`WrongProcess` before any lock is taken.

**Shutdown.** `Pool.terminate` ends the engine's pool: every job is over then, and the thread
settles what is published and ends. The interpreter waits at its end until kept pools have done all
their calls, as `concurrent.futures` does; other pools are terminated by their finalizer.

**Exceptions.** What a callback raises, `SystemExit` and `KeyboardInterrupt` included, goes to
`threading.excepthook`, and the thread goes on. What unpickling an outcome raises is the outcome.
What pickling a call raises is the outcome if it is an `Exception`; anything else is raised in the
thread that made the call, and there is no call. Whatever else ends the thread (`MemoryError`) fails
all published tasks, and is reported; a kept pool is terminated by it, and the thread of another
pool is replaced with the next published task.
"""

from __future__ import annotations

import os
import threading
import weakref
from multiprocessing import util

from millpond.exceptions import BrokenPool, PoolTerminated, WrongProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._futures.task import Task
    from millpond.pool import Pool

__all__ = ["Completions"]


class Completions:
    """The published tasks of one pool, and the thread that settles them.

    Attributes:
        lock: held from before a job with callbacks begins until its task is in the table.
        owner: the pid of the process that made the pool.
        thread: settles tasks; None while there is none.
        pool: the pool that the thread keeps, until it has ended.
        failure: why a kept pool ended by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.lock = threading.RLock()
        self.owner = os.getpid()
        self.thread: threading.Thread | None = None
        self.pool: Pool | None = None
        self.failure: str | None = None
        self._engine: Engine | None = engine
        self._published: dict[int, Task[Any]] = {}
        self._finalizer: Any = None
        _all.add(self)

    def is_foreign(self) -> bool:
        """Return whether the pool belongs to another process, of which this one is a child."""
        return self.owner != os.getpid()

    def start(self) -> None:
        """Start the thread if there is none; the caller holds the lock.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        if self.thread is None:
            name = "millpond-callbacks" if self.pool is None else "millpond-executor"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            thread.start()
            self.thread = thread

    def keep(self, pool: Pool) -> None:
        """Have the thread keep the pool until it has ended, which is waited for at exit.

        Raises:
            RuntimeError: the system refuses another thread, or the interpreter is about to end.
        """
        _register()
        # In a child process of multiprocessing, finalizers run before the threads' exit functions;
        # it comes before the one that terminates the pool.
        self._finalizer = util.Finalize(None, self.finish, exitpriority=20)
        _kept.add(self)
        self.pool = pool
        try:
            with self.lock:
                self.start()
        except BaseException:
            self._release()
            raise

    def add(self, task: Task[Any]) -> None:
        """Put a task into the table whose job began with the wish to be told of.

        The caller has held the lock, and started the thread, since before the job began.
        """
        self._published[task._job] = task

    def forget(self, job: int) -> None:
        """Take the task of a job that is given up out of the table."""
        self._published.pop(job, None)

    def watch(self, task: Task[Any]) -> None:
        """Have a task settled when its job is over; at once, by this thread, if it is.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        job = task._job
        with self.lock:
            self._published[job] = task
            try:
                if task._engine.notify(job):
                    self.start()
                    return
            except BaseException:
                self.forget(job)
                raise
            self.forget(job)
        task._settle()

    def what_broke(self) -> str | None:
        """Return what broke the pool; None if it works, was closed or was terminated."""
        engine = self._engine
        if engine is not None:
            try:
                engine.check_works()
            except BrokenPool as error:
                return str(error)
            except (PoolTerminated, WrongProcess):
                pass
        return self.failure

    def cancel(self, tasks: Iterable[Task[Any]] | None = None) -> None:
        """Cancel those of these tasks, or of all, that no worker has begun."""
        engine = self._engine
        if engine is None or self.is_foreign():
            return
        # To find out how the others have ended would be to unpickle their results.
        chosen = None if tasks is None else [task for task in tasks if not task.done()]
        engine.cancel(None if chosen is None else [task._job for task in chosen])
        for task in list(self._published.values()) if chosen is None else chosen:
            task._settle_if_over()

    def close(self) -> None:
        """Have a kept pool take no more calls; takes no lock of Python's."""
        engine = self._engine
        if engine is not None and not self.is_foreign():
            engine.close()

    def join(self) -> None:
        """Wait until the pool has ended and all tasks are settled, unless in the thread itself."""
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def finish(self) -> None:
        """Close a kept pool, and wait until it has ended."""
        self.close()
        self.join()

    def disown(self) -> None:
        """Fail everything in a forked child of the owner, where no thread settles it."""
        # A thread that does not exist here may have had it.
        self.lock = threading.RLock()
        self.thread = None
        for task in self._published.values():
            task._disown()
        self._published.clear()

    def _run(self) -> None:
        engine = self._engine
        assert engine is not None, "it is there as long as the thread"
        failure: BaseException | None = None
        try:
            while (job := engine.wait_notified()) is not None:
                self._settle(job)
        except BaseException as error:
            failure = BrokenPool(f"the thread that settles the calls of the pool failed: {error!r}")
            raise
        finally:
            self._end(engine, failure)

    def _settle(self, job: int) -> None:
        task = self._published.get(job)
        if task is None:
            # Its job may just be beginning, in a thread that has the lock.
            with self.lock:
                task = self._published.get(job)
        if task is not None:
            task._settle()
            if task._is_told():
                # Else another thread is telling of it, and a child that it forks must find it.
                self.forget(job)

    def _end(self, engine: Engine, failure: BaseException | None) -> None:
        """Settle what is left, and leave nothing behind."""
        pool = self.pool
        if pool is not None:
            self.failure = str(failure) if failure else self.what_broke()
            try:
                pool.terminate()
            finally:
                self._release()
        while True:
            with self.lock:
                if not self._published:
                    self.thread = None
                    return
                job, task = next(iter(self._published.items()))
            task._settle() if failure is None else task._fail(failure)
            self.forget(job)

    def _release(self) -> None:
        """Let go of a kept pool, which has descriptors for as long as anybody has it."""
        self.pool = self._engine = None
        _kept.discard(self)
        self._finalizer.cancel()


_all: weakref.WeakSet[Completions] = weakref.WeakSet()
_kept: set[Completions] = set()
"""Those of this process that keep a pool."""
_exiting = False
_registered = False


def _register() -> None:
    """Have kept pools waited for before the interpreter's end.

    Raises:
        RuntimeError: the end has begun.
    """
    global _registered
    if _exiting:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")
    if not _registered:
        _registered = True
        threading._register_atexit(_finish_all)  # type: ignore[attr-defined]


def _finish_all() -> None:
    global _exiting
    _exiting = True
    kept = [completions for completions in list(_kept) if not completions.is_foreign()]
    for completions in kept:
        completions.close()
    try:
        for completions in kept:
            completions.join()
    finally:
        # After Ctrl-C the pools are to be terminated, not waited for once more.
        for completions in kept:
            completions._finalizer.cancel()


def _disown_all() -> None:
    for completions in list(_all):
        completions.disown()
    _kept.clear()


os.register_at_fork(after_in_child=_disown_all)
