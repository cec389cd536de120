"""What a pool's workers have to know to set themselves up."""

from __future__ import annotations

import os
from multiprocessing import process

from millpond import _cpython
from millpond._pickling import by_value
from millpond._pool.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from millpond._pool.settings import WorkerSettings

__all__ = ["WorkerSpec"]


class WorkerSpec:
    """The spec of a pool's workers, made by the process that owns the pool."""

    def __init__(
        self,
        context: Any,
        processes: int,
        initializer: Callable[..., object] | None,
        initargs: Iterable[Any],
        of_executor: bool = False,
        settings: WorkerSettings | None = None,
    ) -> None:
        """Make the spec, and take as many numbers for workers as there are to be.

        Args:
            context: where the start method comes from, and the class of the workers' processes.
            processes: how many workers there are to be.
            initializer: called in each worker before its first task.
            initargs: the initializer's arguments.
            of_executor: whether they are an executor's workers, which are no daemons (so they may
                have children), have plain names, and tell of results that do not pickle as they
                are told.
            settings: what else they set themselves up with.
        """
        owner = process.current_process()
        self.method: str = context.get_start_method()
        self.owner_pid = os.getpid()
        self.owner_name = owner.name
        self.initializer = initializer
        self.initargs = tuple(initargs)
        self.of_executor = of_executor
        self.settings = settings or Settings().of_workers(processes)
        self.process_class: Any = context.Process
        kind = self.process_class.__name__
        self._kind = kind if of_executor else kind.replace("Process", "PoolWorker")
        self._owner_identity: tuple[int, ...] = owner._identity
        self._first = next(iter(take_numbers(processes)), 0)
        self.by_value = by_value.is_enabled()

    def parts(self) -> Iterable[tuple[str, object]]:
        """Return what a new interpreter might not get, each with what messages call it."""
        kind = "executor" if self.of_executor else "pool"
        yield f"the initializer of the {kind}", self.initializer
        for index, value in enumerate(self.initargs):
            yield f"initargs[{index}] of the {kind}", value
        yield f"the finalizer of the {kind}", self.settings.finalizer

    def worker_identity(self, number: int, tag: int) -> tuple[int, ...]:
        """Return the place of a worker among the owner's descendants.

        Args:
            number: which worker of the pool, counted from 1.
            tag: the number that was taken for it, if it takes the place of another, or 0.
        """
        return (*self._owner_identity, tag or self._first + number - 1)

    def worker_name(self, number: int, tag: int) -> str:
        """Return what a worker is called; the arguments are those of `worker_identity`."""
        return f"{self._kind}-{':'.join(map(str, self.worker_identity(number, tag)))}"


def take_numbers(count: int) -> list[int]:
    """Take numbers that no other child of this process has."""
    return [next(_cpython.get("multiprocessing.process", "_process_counter")) for _ in range(count)]
