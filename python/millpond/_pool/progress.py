"""What programs that show progress look at in the private attributes of a pool and its results.

Each of these objects asks the engine when it is asked, and keeps nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from millpond._engine import Pool as Engine

__all__ = ["Backlog", "Handler", "Job", "OpenJobs", "Over", "Pipe", "View", "tasks_left"]


class View:
    """A pool's attribute that is made anew whenever it is asked for, unless a subclass sets it."""

    def __init__(self, kind: Callable[[Engine], Any]) -> None:
        self._kind = kind

    def __get__(self, pool: Any, _owner: Any = None) -> Any:
        return self if pool is None else self._kind(pool._engine)


class Job:
    """A call of the pool's that is not over."""

    def __init__(self, engine: Engine, job: int) -> None:
        self._engine = engine
        self._job = job

    @property
    def _number_left(self) -> int:
        """How many of its tasks have not ended."""
        return tasks_left(self._engine, self._job)

    def ready(self) -> bool:
        """Return whether it is over."""
        return self._engine.is_reached(self._job)


def tasks_left(engine: Engine, job: int) -> int:
    """Return how many tasks of a job have not ended; none of one that is gone."""
    progress = engine.progress(job)
    return 0 if progress is None else progress[1]


class OpenJobs(Mapping[int, Job]):
    """`Pool._cache`: the calls that are not over, by their numbers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __len__(self) -> int:
        return len(self._engine.backlog()[0])

    def __iter__(self) -> Iterator[int]:
        return iter(self._engine.backlog()[0])

    def __getitem__(self, job: int) -> Job:
        if job not in self._engine.backlog()[0]:
            raise KeyError(job)
        return Job(self._engine, job)

    def __repr__(self) -> str:
        return repr(dict(self))


class Backlog:
    """`Pool._taskqueue`: the tasks that no worker has room for yet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def qsize(self) -> int:
        """Return how many there are."""
        return self._engine.backlog()[1]

    def empty(self) -> bool:
        """Return whether there are none."""
        return self.qsize() == 0


class Pipe:
    """`Pool._inqueue` or `Pool._outqueue`: whether anything is on its way to or from workers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def empty(self) -> bool:
        """Return whether the workers have nothing to do."""
        return all(load == 0 for *_, load in self._engine.workers())


class Handler:
    """`Pool._worker_handler` and its like: threads there, here the engine."""

    daemon = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_alive(self) -> bool:
        """Return whether the pool has not ended."""
        return not self._engine.wait_ended(0)


class Over:
    """`AsyncResult._event`: set when the call is over."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def is_set(self) -> bool:
        """Return whether the call is over."""
        ready: bool = self._result.ready()
        return ready

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is, or `timeout` seconds have passed, and return whether it is."""
        self._result.wait(timeout)
        return self.is_set()
