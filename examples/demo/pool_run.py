"""The analysis in a pool of worker processes, one of which is killed on the way."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from progress import Progress
from source_file import FileReport, analyse_file

import millpond
from millpond.pool import Pool

# Files that travel together, and that are lost together when their worker dies.
CHUNK = 4

# Seconds in which a worker that has just sent a result begins its next task.
MOMENT = 0.01

# A file that takes its worker with it so often is at fault itself.
MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class PoolRun:
    """What came of the analysis in a pool."""

    reports: dict[str, FileReport]
    seconds: float
    tasks: int
    crashes: int
    resubmitted: int
    replacements: int


def analyse_in_pool(
    files: Sequence[str],
    workers: int,
    progress: Progress,
    *,
    kill: bool = True,
    timeline: Path | None = None,
) -> PoolRun:
    """Analyse files in a pool, and again those that were lost with a worker.

    Args:
        files: the paths.
        workers: how many processes the pool has.
        progress: told of every report, and of every crash.
        kill: whether to kill a worker when half of the files are done.
        timeline: where to write the picture of the run; nowhere if None.

    Raises:
        WorkerCrashed: a file took its worker with it again and again.
    """
    reports: dict[str, FileReport] = {}
    attempts: Counter[str] = Counter()
    with Pool(workers, trace=True) as pool:
        killer = Killer(pool, len(files) // 2) if kill else None
        while missing := [path for path in files if path not in reports]:
            attempts.update(missing)
            for outcome in outcomes(pool.imap_unordered(analyse_file, missing, CHUNK)):
                if isinstance(outcome, millpond.WorkerCrashed):
                    progress.note(f"{outcome}; the pool goes on")
                    if max(attempts.values()) >= MOST_ATTEMPTS:
                        raise outcome
                    continue
                reports[outcome.path] = outcome
                progress.advance(len(reports))
                if killer is not None:
                    killer.strike(len(reports), progress.note)
        pool.close()
        pool.join()
        seconds = progress.finish()
        if timeline is not None:
            pool.timeline().save(timeline)
        stats = pool.stats()
    resubmitted = attempts.total() - len(files)
    return PoolRun(reports, seconds, stats.tasks, stats.crashes, resubmitted, stats.replacements)


def outcomes(results: Iterator[FileReport]) -> Iterator[FileReport | millpond.WorkerCrashed]:
    """Iterate over results and crashes alike: a crash ends a task, not the iteration."""
    while True:
        try:
            yield next(results)
        except StopIteration:
            return
        except millpond.WorkerCrashed as crash:
            yield crash


class Killer:
    """Kills a worker of a pool in the middle of a task, once.

    Should the worker be between two tasks all the same, it dies without loss; then another one
    is killed, until a task is lost.
    """

    def __init__(self, pool: Pool, after: int) -> None:
        self._pool = pool
        self._after = after
        self._victim: int | None = None

    def strike(self, done: int, note: Callable[[str], None]) -> None:
        """Kill a worker if enough files are done and no task was lost yet."""
        if done < self._after or self._pool.stats().crashes > 0:
            return
        pids = [worker.pid for worker in self._pool._pool]
        if self._victim in pids:
            return  # Its death has not been noticed yet.
        time.sleep(MOMENT)
        busy = [pid for pid in pids if pid is not None and is_running(pid)]
        if busy:
            # The oldest: a replacement may not have begun to work yet.
            self._victim = min(busy)
            os.kill(self._victim, signal.SIGKILL)
            note(f"sent SIGKILL to worker {self._victim}")


def is_running(pid: int) -> bool:
    """Return whether a process is using, or waiting for, a processor."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The state comes behind the name, which may contain anything.
    return status.rpartition(")")[2].split()[0] == "R"
