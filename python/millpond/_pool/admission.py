"""Calls of a pool in which only so many may wait."""

from __future__ import annotations

import threading

from millpond.exceptions import PoolFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._engine import Pool as Engine
    from millpond._futures.completions import Completions
    from millpond._pool.settings import Settings

__all__ = ["Admission"]


class Admission:
    """Submits to a pool as soon as there is room, or says that there is none.

    The thread that runs the pool's callbacks is never made to wait: a task that ends only when
    another one's callback was run would wait for the callback, and that for the task.
    """

    def __init__(self, engine: Engine, completions: Completions, settings: Settings) -> None:
        self._engine = engine
        self._completions = completions
        self._most = settings.max_pending
        self._waits = settings.when_full == "block"

    def submit(self, *call: Any) -> int:
        """Begin a job of one task; the arguments are those of the engine's `submit`.

        Raises:
            PoolFull: too many tasks wait.
        """
        reserved = self._reserve(1)
        try:
            return self._engine.submit(*call)
        finally:
            if reserved:
                self._engine.release(reserved)

    def check(self, items: int, chunksize: int) -> int:
        """Return for how many tasks there is room now: for all of a call that must not wait.

        Raises:
            PoolFull: too many tasks wait.
        """
        return 0 if self._waits else self._reserve(-(-items // chunksize))

    def extend(self, job: int, op: int, items: list[Any], chunksize: int, reserved: int) -> None:
        """Add items to a job, in chunks, as there is room for them.

        Args:
            job: begun by the engine.
            op: how workers apply the function.
            items: the items.
            chunksize: how many travel together.
            reserved: what `check` returned, which is released.

        Raises:
            ValueError: the pool was closed or terminated before there was room.
        """
        try:
            if reserved or self._is_exempt():
                self._engine.extend(job, op, items, chunksize)
                return
            start = 0
            while start < len(items):
                reserved = self._engine.wait_to_reserve(-(-(len(items) - start) // chunksize))
                if not reserved:
                    raise ValueError("Pool not running")
                end = start + reserved * chunksize
                self._engine.extend(job, op, items[start:end], chunksize)
                start = end
                self._engine.release(reserved)
                reserved = 0
        finally:
            if reserved:
                self._engine.release(reserved)

    def _is_exempt(self) -> bool:
        return threading.current_thread() is self._completions.thread

    def _reserve(self, count: int) -> int:
        """Return for how many tasks there is room; 0 if that does not matter."""
        if not count:
            return 0
        if self._waits:
            # If the pool is closed meanwhile, the submission says so.
            return 0 if self._is_exempt() else self._engine.wait_to_reserve(1)
        reserved = self._engine.reserve(count)
        if not reserved:
            waiting = "too many calls wait" if count == 1 else f"there is no room for {count} tasks"
            raise PoolFull(f"{waiting} (max_pending={self._most})")
        return reserved
