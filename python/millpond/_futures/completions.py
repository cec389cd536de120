"""How a caller learns that a call of a pool has ended: the protocol, and its one thread.

**The engine owns every job.** It knows whether a job is over, keeps its outcome until it is taken,
and decides every race: whether a call came before `close`, whether a call was cancelled before a
worker began it, which thread takes an outcome. Nothing in Python repeats that state.

**A `Task` is a handle of one job**, and a `concurrent.futures.Future`. It is in one of two modes.

- *Direct*: a new task has no condition and is in no table. A thread that asks for its result waits
  in the engine, where waiting threads do the pool's work, and takes the outcome itself.
- *Published*: the task has what `Future` has (condition, waiters, callbacks) and stands in the
  table of its pool's `Completions`. A task is published when anything asks for its condition
  (`add_done_callback`, `wait`, `as_completed`, `await`), or from the start if the call has
  callbacks. It never becomes direct again.

**An outcome is taken by one call of the engine**, `settle`. Its states are the engine's:

    state     means                                   next
    over      the outcome is there                    a thread calls `settle`: decoding
    decoding  one thread has it and unpickles it      done: taken. interrupted: over
    taken     it is in the task; the job is gone

`settle` decodes the outcome and stores it in the task. Handlers of signals run between bytecodes of
the main thread; there are none in it but those of the program's own code, which unpickling runs.
If a handler raises there, the outcome goes back, and the next thread that asks takes it: Ctrl-C
loses no result. In the other threads no handler runs.

**The thread that may wait unpickles.** `get()` without a timeout unpickles in the thread that
calls it. Whatever must not stand still for that long (a timeout, `ready`, an event loop,
callbacks) leaves it to the thread of the pool, and publishes the task. Outcomes whose decoding
runs no code of the program's (plain values, deaths, cancellations) are taken by any thread.
`cancel` and `cancelled` take cancellations alone, so they never wait. `Chosen` in the engine's
`outcome.rs` names these three sets.

**Notifying.** An outcome that comes into a direct task is final by that, and no waiter needs to be
notified. In a published task it becomes final when a thread notifies all waiters, under the task's
condition, since `concurrent.futures` relies on that: the pool's thread, or, if it is a
cancellation, the thread that cancels. A task may be published while another thread takes its
outcome. So `watch` puts it into the table, asks the engine to have the pool's thread told
(`notify`), which happens as soon as no thread is decoding, and gives the task its condition last:

- The outcome comes before the condition: it is final, and each waiter finds it so.
- It comes after the condition, from whichever thread: the pool's thread has been asked for by then,
  finds it taken, or takes it, and notifies.

A task is published once. A second `watch` would find the job gone, and must not take the task out
of the table, where the thread will look for it.

**Threads.** The first published task starts the thread of the pool; a pool without one has no
thread. It ends when the pool has ended, no outcome is being decoded of which it is to be notified,
and no task is left; a task that is published after that starts another one. The lock of
`Completions` is held for some lines at a time, in none of which the program's code runs; inside,
the engine's is taken. A task's condition is taken inside of neither.

**Executors.** An executor's pool is *kept* by its thread, which starts with the first call: an
executor that is collected closes its pool, and the thread ends with the last call. The executor
refers to its `Completions`, never the other way round.

**Fork.** The child gets a new lock and no thread. Each task in the table becomes done there, with
`WrongProcess`; a task leaves the table only when all waiters were notified, so a callback that
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

from millpond._futures.task import DONE
from millpond.exceptions import BrokenPool, PoolTerminated, WrongProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._futures.task import Task
    from millpond.pool import Pool

__all__ = ["Completions", "finish_all"]


class Completions:
    """The published tasks of one pool, and the thread that settles them.

    Attributes:
        owner: the pid of the process that made the pool.
        thread: settles tasks; None while there is none.
        pool: the pool that the thread keeps, until it has ended.
        failure: why a kept pool ended by itself.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.thread: threading.Thread | None = None
        self.pool: Pool | None = None
        self.failure: str | None = None
        self._lock = threading.RLock()
        self._published: dict[int, Task[Any]] = {}
        self._finalizer: Any = None
        _all.add(self)

    def is_foreign(self) -> bool:
        """Return whether the pool belongs to another process, of which this one is a child."""
        return self.owner != os.getpid()

    def start(self, engine: Engine) -> None:
        """Start the thread if there is none.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        with self._lock:
            if self.thread is None:
                name = "millpond-callbacks" if self.pool is None else "millpond-executor"
                thread = threading.Thread(target=self._run, args=(engine,), name=name, daemon=True)
                thread.start()
                self.thread = thread

    def keep(self, pool: Pool) -> None:
        """Have the thread keep the pool until it has ended, which is waited for at exit.

        Raises:
            RuntimeError: the system refuses another thread, or the interpreter is about to end.
        """
        if _exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        # In a child process of multiprocessing, finalizers run before the threads' exit functions;
        # it comes before the one that terminates the pool.
        self._finalizer = util.Finalize(None, self.finish, exitpriority=20)
        _kept.add(self)
        self.pool = pool
        try:
            self.start(pool._engine)
        except BaseException:
            self._release()
            raise

    def watch(self, task: Task[Any]) -> None:
        """Publish a task: have it settled by the thread, unless its outcome was taken.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        job, engine = task._job, task._engine
        with self._lock:
            if "_condition" in vars(task):
                # Another thread has published it meanwhile, and there may be waiters.
                return
            self._published[job] = task
            try:
                if engine.notify(job):
                    self.start(engine)
                else:
                    self.forget(job)
            except BaseException:
                self.forget(job)
                raise
            # Last: if this is interrupted, a thread that asks for it comes here again.
            task._add_condition()

    def forget(self, job: int) -> None:
        """Take the task of a job of which all waiters were notified out of the table."""
        self._published.pop(job, None)

    def what_broke(self) -> str | None:
        """Return what broke a kept pool; None if it works, was closed or was terminated."""
        pool = self.pool
        if pool is not None:
            try:
                pool._engine.check_works()
            except BrokenPool as error:
                return str(error)
            except (PoolTerminated, WrongProcess):
                pass
        return self.failure

    def cancel(self, tasks: Iterable[Task[Any]] | None = None) -> None:
        """Cancel those of a kept pool's tasks, or of these, that no worker has begun."""
        pool = self.pool
        if pool is not None and not self.is_foreign():
            chosen = None if tasks is None else [t for t in tasks if t._state not in DONE]
            if chosen == []:
                return
            pool._engine.cancel(None if chosen is None else [task._job for task in chosen])
            for task in list(self._published.values()) if chosen is None else chosen:
                task.cancelled()

    def close(self) -> None:
        """Have a kept pool take no more calls; takes no lock of Python's."""
        pool = self.pool
        if pool is not None and not self.is_foreign():
            pool._engine.close()

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
        self._lock = threading.RLock()
        self.thread = None
        for task in self._published.values():
            task._disown()
        self._published.clear()

    def _run(self, engine: Engine) -> None:
        failure: BaseException | None = None
        try:
            self._settle_all(engine)
        except BaseException as error:
            failure = BrokenPool(f"the thread that settles the calls of the pool failed: {error!r}")
            raise
        finally:
            if self.pool is not None:
                self._end(self.pool, failure)
            while not self._leaves():
                self._settle_all(engine) if failure is None else self._fail_all(failure)

    def _settle_all(self, engine: Engine) -> None:
        while (job := engine.wait_notified()) is not None:
            self._settle(job)

    def _settle(self, job: int) -> None:
        with self._lock:
            # The thread that publishes it, if there is one, is done.
            task = self._published.get(job)
        if task is not None:
            task._settle()

    def _fail_all(self, failure: BaseException) -> None:
        for job, task in list(self._published.items()):
            task._fail(failure)
            self.forget(job)

    def _leaves(self) -> bool:
        """Return whether nothing is left to tell; the next task then starts another thread."""
        with self._lock:
            # Those that are done are being told of by the threads that have cancelled them.
            if all(task._state in DONE for task in self._published.values()):
                self.thread = None
            return self.thread is None

    def _end(self, pool: Pool, failure: BaseException | None) -> None:
        """Terminate a kept pool, which has ended or must, and let go of it."""
        self.failure = str(failure) if failure else self.what_broke()
        try:
            pool.terminate()
        finally:
            self._release()

    def _release(self) -> None:
        """Let go of a kept pool, which has descriptors for as long as anybody has it."""
        self.pool = None
        _kept.discard(self)
        self._finalizer.cancel()


_all: weakref.WeakSet[Completions] = weakref.WeakSet()
_kept: set[Completions] = set()
"""Those of this process that keep a pool."""
_exiting = False


def finish_all() -> None:
    """Wait, before the interpreter's end, until kept pools have done all their calls."""
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
