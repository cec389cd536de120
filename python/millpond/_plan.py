"""What a pool's workers have to know to set themselves up."""

from __future__ import annotations

import os
from multiprocessing import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Plan"]


class Plan:
    """The plan of a pool's workers, made by the process that owns the pool."""

    def __init__(
        self,
        context: Any,
        processes: int,
        initializer: Callable[..., object] | None,
        initargs: Iterable[Any],
        of_executor: bool = False,
    ) -> None:
        """Make the plan, and reserve as many numbers for workers as there are to be.

        Args:
            context: where the start method comes from.
            processes: how many workers there are to be.
            initializer: called in each worker before its first task.
            initargs: the initializer's arguments.
            of_executor: whether they are an executor's workers, which are no daemons (so they may
                have children), have plain names, and tell of results that do not pickle as they
                are told.
        """
        owner = process.current_process()
        self.method: str = context.get_start_method()
        self.owner_pid = os.getpid()
        self.owner_name = owner.name
        self.initializer = initializer
        self.initargs = tuple(initargs)
        self.of_executor = of_executor
        kind: str = context.Process.__name__
        self._kind = kind if of_executor else kind.replace("Process", "PoolWorker")
        self._owner_identity: tuple[int, ...] = owner._identity
        self._first, *_ = (next(vars(process)["_process_counter"]) for _ in range(processes))

    def worker_identity(self, number: int) -> tuple[int, ...]:
        """Return the place of a worker among the owner's descendants.

        Args:
            number: which worker of the pool, counted from 1.
        """
        return (*self._owner_identity, self._first + number - 1)

    def worker_name(self, number: int) -> str:
        """Return what a worker is called.

        Args:
            number: which worker of the pool, counted from 1.
        """
        return f"{self._kind}-{':'.join(map(str, self.worker_identity(number)))}"
