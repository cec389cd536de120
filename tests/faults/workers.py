"""Who the workers of a pool are, found out by the pool's own means, and how to kill them."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

from gate import Gate, until
from support.processes import process_table

from millpond._pool import template
from millpond.pool import Pool

_numbers = itertools.count()


def worker_pids(pool: Pool, size: int, directory: Path) -> set[int]:
    """The pids of all workers: as many tasks as workers wait for each other at a gate."""
    gate = Gate(directory / f"roll-call-{next(_numbers)}")
    answers = [pool.apply_async(gate.hold, (key,)) for key in range(size)]
    gate.wait_for(size)
    gate.open()
    pids = {answer.get() for answer in answers}
    assert len(pids) == size, "a worker answered twice"
    return pids


def zygote_pid(pool: Pool) -> int:
    """The process that forks the workers."""
    pid: int = pool.apply(os.getppid)
    assert pid != os.getpid(), "workers are children of the process with the pool"
    return pid


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    living = (process for process in process_table().values() if not process.is_zombie)
    return [process.pid for process in living if process.parent == pid]


def workers_of_all_pools() -> list[int]:
    """The living workers of the pools of this process: the children of its zygotes."""
    templates: set[Any] = {each._pid for each in template._templates._living}
    zygotes = set(children_of(os.getpid())) - templates
    for pid in templates - {None}:
        zygotes.update(children_of(pid))
    return sorted(worker for zygote in zygotes for worker in children_of(zygote))


def is_alive(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    process = process_table().get(pid)
    return process is not None and not process.is_zombie


def kill(pid: int | None) -> None:
    """SIGKILL a process, which was started, and wait until it is dead."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
