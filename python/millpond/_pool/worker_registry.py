"""A pool's workers as the objects that `multiprocessing` has for processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import lru_cache
from multiprocessing import process

from millpond import _cpython
from millpond.connection import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._pool.worker_spec import WorkerSpec

__all__ = ["PoolWorker", "WorkerRegistry"]


class WorkerRegistry:
    """The workers of one pool, kept where `multiprocessing.active_children` finds them."""

    def __init__(self, engine: Engine, spec: WorkerSpec, processes: int) -> None:
        self.engine = engine
        self.spec = spec
        self._kind = _kind_of_worker(spec.process_class)
        # The engine numbers its first workers so; their pids are looked up when they are needed.
        self._workers = {n: self._kind(self, n, 0) for n in range(1, processes + 1)}
        self._in_this_process().update(self._workers.values())
        # Re-entrant, as a collection inside may end the pool.
        self.lock = threading.RLock()

    def current(self) -> list[PoolWorker]:
        """Return the workers that the pool has now, each started, in the order of their places."""
        self.engine.wait_started()
        with self.lock:
            self.refresh()
            pids = {number: pid for number, _, pid, _ in self.engine.workers()}
            # What has replaced another since then is taken up the next time.
            return [self._workers[n] for n, pid in pids.items() if pid and n in self._workers]

    def refresh(self) -> None:
        """Take up workers that replaced others, and let go of the dead."""
        with self.lock:
            tags = {number: tag for number, tag, _, _ in self.engine.workers()}
            children = self._in_this_process()
            for number in tags.keys() - self._workers.keys():
                self._workers[number] = self._kind(self, number, tags[number])
                children.add(self._workers[number])
            for number in self._workers.keys() - tags.keys():
                children.discard(self._workers.pop(number))

    def clear(self) -> None:
        """Let go of all of them, when the pool has ended."""
        with self.lock:
            self._in_this_process().difference_update(self._workers.values())
            self._workers.clear()

    def _in_this_process(self) -> set[process.BaseProcess]:
        # A child process made by multiprocessing has a set of its own.
        children: set[process.BaseProcess] = _cpython.get("multiprocessing.process", "_children")
        return children


class _Popen:
    """The handle of a worker's process, which the pool's zygote started and will reap."""

    def __init__(self, registry: WorkerRegistry, number: int) -> None:
        self._registry = registry
        self._number = number
        self._pid: int | None = None
        self._pidfd: int | None = None
        self.method = registry.spec.method
        self.returncode: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id, as soon as the zygote has forked it."""
        if self._pid is None:
            self._registry.engine.wait_started()
            pids = {number: pid for number, _, pid, _ in self._registry.engine.workers()}
            self._pid = pids.get(self._number)
        return self._pid

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable when the process has ended."""
        pid = self.pid or 0
        with self._registry.lock:
            if self._pidfd is None:
                self._pidfd = os.pidfd_open(pid)
            return self._pidfd

    def poll(self, _flag: int = 0) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.returncode is None:
            if os.getpid() != self._registry.spec.owner_pid:
                # A forked child has copies of these objects, but no such children.
                return 0
            ended, code = self._registry.engine.end_of_worker(self._number)
            if ended:
                # The system did not tell: as good as killed.
                self.returncode = -signal.SIGKILL if code is None else code
                self._registry.refresh()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the process has ended, or `timeout` seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if deadline != deadline:
            raise ValueError("timeout must be a number of seconds or None, not nan")
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            if self._waits_for_end(left):
                # The zygote says what became of it an instant later.
                time.sleep(0.001)
        return self.returncode

    def _waits_for_end(self, timeout: float | None) -> bool:
        """Wait for the sentinel; return whether the process has ended, or there can be none."""
        try:
            return bool(wait([self.sentinel], timeout))
        except OSError:
            return True

    def interrupt(self) -> None:
        """Send SIGINT."""
        self._signal(signal.SIGINT)

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
        with self._registry.lock:
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

    def __init__(self, registry: WorkerRegistry, number: int, tag: int) -> None:
        # No call of the base class's, which would take a number for a process of its own.
        spec = registry.spec
        self._identity = spec.worker_identity(number, tag)
        self._name = spec.worker_name(number, tag)
        own: Any = process.current_process()
        self._config = {**own._config, "daemon": not spec.of_executor}
        self._parent_pid = spec.owner_pid
        self._parent_name = spec.owner_name
        self._closed = False
        self._popen = _Popen(registry, number)

    @property
    def _sentinel(self) -> int:
        return self._popen.sentinel

    @_sentinel.deleter
    def _sentinel(self) -> None:
        # `close` does so, after it has closed the handle.
        pass

    def start(self) -> None:
        """Raise AssertionError: the pool has started it."""
        raise AssertionError("cannot start a process twice")

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does: the task that it runs, if any, raises KeyboardInterrupt."""
        # The base class has the method since CPython 3.14.
        self._check_closed()  # type: ignore[attr-defined]
        self._popen.interrupt()


@lru_cache(16)
def _kind_of_worker(process_class: Any) -> type[PoolWorker]:
    """Return the class of the workers of a pool whose processes are of this class."""
    names = {"__module__": process_class.__module__, "__qualname__": process_class.__qualname__}
    return type(process_class.__name__, (PoolWorker, process_class), names)
