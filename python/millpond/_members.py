"""A pool's workers as the objects that `multiprocessing` has for processes."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from millpond._engine import Pool as Engine
    from millpond._plan import Plan

__all__ = ["Members", "PoolWorker"]


class Members:
    """The workers of one pool, kept where `multiprocessing.active_children` finds them."""

    def __init__(self, engine: Engine, plan: Plan, processes: int) -> None:
        self.engine = engine
        self.plan = plan
        # The engine numbers its first workers so; their pids are looked up when they are needed.
        self._workers = {n: PoolWorker(self, n) for n in range(1, processes + 1)}
        self._in_this_process().update(self._workers.values())

    def current(self) -> list[PoolWorker]:
        """Return the workers that the pool has now, each started, in the order of their places."""
        self.engine.wait_started()
        self.refresh()
        started = (self._workers[n] for n, pid, _ in self.engine.workers() if pid is not None)
        return list(started)

    def refresh(self) -> None:
        """Take up workers that replaced others, and let go of the dead."""
        numbers = {number for number, _, _ in self.engine.workers()}
        children = self._in_this_process()
        for number in numbers - self._workers.keys():
            self._workers[number] = PoolWorker(self, number)
            children.add(self._workers[number])
        for number in self._workers.keys() - numbers:
            children.discard(self._workers.pop(number))

    def clear(self) -> None:
        """Let go of all of them, when the pool has ended."""
        self._in_this_process().difference_update(self._workers.values())
        self._workers.clear()

    def _in_this_process(self) -> set[process.BaseProcess]:
        # A child process made by multiprocessing has a set of its own.
        children: set[process.BaseProcess] = vars(process)["_children"]
        return children


class _Popen:
    """The handle of a worker's process, which the pool's zygote started and will reap."""

    def __init__(self, members: Members, number: int) -> None:
        self._members = members
        self._number = number
        self._pid: int | None = None
        self._pidfd: int | None = None
        self.method = members.plan.method
        self.returncode: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id, as soon as the zygote has forked it."""
        if self._pid is None:
            self._members.engine.wait_started()
            pids = {number: pid for number, pid, _ in self._members.engine.workers()}
            self._pid = pids.get(self._number)
        return self._pid

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable when the process has ended."""
        if self._pidfd is None:
            self._pidfd = os.pidfd_open(self.pid or 0)
        return self._pidfd

    def poll(self, _flag: int = 0) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.returncode is None:
            if os.getpid() != self._members.plan.owner_pid:
                # A forked child has copies of these objects, but no such children.
                return 0
            ended, code = self._members.engine.end_of_worker(self._number)
            if ended:
                # The system did not tell: as good as killed.
                self.returncode = -signal.SIGKILL if code is None else code
                self._members.refresh()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the process has ended, or `timeout` seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            # The engine learns of a death at once; only this object has to ask.
            time.sleep(0.01 if left is None else min(0.01, left))
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None and self.pid is not None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        """Let go of the sentinel."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    def __del__(self) -> None:
        if getattr(self, "_pidfd", None) is not None:
            self.close()


class PoolWorker(process.BaseProcess):
    """A worker of a pool, with the interface of `multiprocessing.Process`.

    It is started and replaced by the pool; `is_alive`, `exitcode`, `terminate`, `kill` and `join`
    work as for other processes.
    """

    def __init__(self, members: Members, number: int) -> None:
        # No call of the base class's, which would take a number for a process of its own.
        plan = members.plan
        self._identity = plan.worker_identity(number)
        self._name = plan.worker_name(number)
        self._config = {"daemon": not plan.of_executor}
        self._parent_pid = plan.owner_pid
        self._parent_name = plan.owner_name
        self._closed = False
        self._popen = _Popen(members, number)

    def start(self) -> None:
        """Raise AssertionError: the pool has started it."""
        raise AssertionError("cannot start a process twice")
