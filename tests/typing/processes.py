"""Types of processes and managers, which are the standard library's."""

from __future__ import annotations

from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from typing import assert_type

import millpond
import millpond.managers
from millpond.context import ForkProcess, ForkServerProcess, SpawnProcess


def work(number: int, *, name: str) -> None:
    """What a process runs."""


def processes() -> None:
    process = millpond.Process(target=work, args=(1,), kwargs={"name": "one"}, daemon=True)
    assert_type(process, millpond.Process)
    assert_type(process.start(), None)
    assert_type(process.join(timeout=1.5), None)
    assert_type(process.is_alive(), bool)
    assert_type(process.terminate(), None)
    assert_type(process.kill(), None)
    assert_type(process.close(), None)
    assert_type(process.name, str)
    assert_type(process.daemon, bool)
    assert_type(process.pid, int | None)
    assert_type(process.exitcode, int | None)
    assert_type(process.sentinel, int)


def processes_of_contexts() -> None:
    assert_type(millpond.get_context("fork").Process(target=print), ForkProcess)
    assert_type(millpond.get_context("spawn").Process(target=print), SpawnProcess)
    assert_type(millpond.get_context("forkserver").Process(target=print), ForkServerProcess)
    assert_type(millpond.get_context().Process(target=print), millpond.Process)


class Worker(millpond.Process):
    """A subclass."""

    def run(self) -> None:
        """What it does."""


def others() -> None:
    assert_type(Worker().start(), None)
    assert_type(millpond.current_process(), BaseProcess)
    assert_type(millpond.parent_process(), BaseProcess | None)
    assert_type(millpond.active_children(), list[BaseProcess])


def managers() -> None:
    manager = millpond.Manager()
    assert_type(manager, SyncManager)
    with millpond.managers.SyncManager() as entered:
        entered.dict({"a": 1})
    manager.shutdown()
    base: type[SyncManager] = millpond.managers.SyncManager
    base.register("Worker", Worker)


def exceptions() -> None:
    try:
        raise millpond.BufferTooShort(b"message")
    except millpond.ProcessError as error:
        assert_type(error, millpond.ProcessError)
    kinds: list[type[millpond.ProcessError]] = [
        millpond.AuthenticationError,
        millpond.BrokenPool,
        millpond.Deadlock,
        millpond.OwnerDied,
        millpond.PoolTerminated,
        millpond.RemoteTaskError,
        millpond.TaskExited,
        millpond.TasksLost,
        millpond.TimeoutError,
        millpond.WorkerCrashed,
        millpond.WrongProcess,
    ]
    kinds.clear()
