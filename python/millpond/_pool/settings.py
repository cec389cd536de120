"""The settings of a pool that have names: of its size, of what may wait, and of its workers."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal, Self, TypedDict

    from millpond._pool.options import Options

    class PoolSettings(TypedDict, total=False):
        """Keywords of the constructors of pools and executors."""

        idle_timeout: float | None
        max_pending: int | None
        when_full: Literal["block", "raise"]
        ageing: float | None
        env: Mapping[str, str | None] | None
        cwd: str | os.PathLike[str] | None
        niceness: int | None
        finalizer: Callable[[], object] | None
        blas_threads: int | Literal["auto"] | None
        seed: int | None

    class PoolOptions(PoolSettings, Options, total=False):
        """Those, and the options of all calls."""


__all__ = ["SETTINGS", "Settings", "WorkerSettings"]


class Settings(NamedTuple):
    """The settings of a pool; `millpond.pool.Pool` documents them."""

    idle_timeout: float | None = None
    max_pending: int | None = None
    when_full: Literal["block", "raise"] = "block"
    ageing: float | None = None
    env: Mapping[str, str | None] | None = None
    cwd: str | os.PathLike[str] | None = None
    niceness: int | None = None
    finalizer: Callable[[], object] | None = None
    blas_threads: int | Literal["auto"] | None = None
    seed: int | None = None

    @classmethod
    def taken_from(cls, options: Any) -> Self:
        """Take the settings out of the keywords of a constructor.

        Args:
            options: the keywords; what is left are the options of calls.

        Raises:
            TypeError: a value is of a wrong type.
            ValueError: a value is out of range.
        """
        given: dict[str, Any] = {n: options.pop(n) for n in list(options) if n in SETTINGS}
        settings = cls(**given)
        settings._check_workers()
        most, ageing = settings.max_pending, settings.ageing
        if most is not None and (isinstance(most, bool) or not isinstance(most, int)):
            raise TypeError(f"max_pending must be an int or None, not {most!r}")
        if most is not None and most < 1:
            raise ValueError(f"max_pending must be at least 1, not {most}")
        if settings.when_full not in ("block", "raise"):
            raise ValueError(f"when_full must be 'block' or 'raise', not {settings.when_full!r}")
        if ageing is not None and (isinstance(ageing, bool) or not hasattr(ageing, "__float__")):
            raise TypeError(f"ageing must be a number of seconds or None, not {ageing!r}")
        if ageing is not None and not ageing > 0:
            raise ValueError(f"ageing must be more than 0 seconds, not {ageing!r}")
        return settings

    def _check_workers(self) -> None:
        for name in ("niceness", "seed"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise TypeError(f"{name} must be an int or None, not {value!r}")
        for name, value in dict(self.env or {}).items():
            if not isinstance(name, str) or not (value is None or isinstance(value, str)):
                text = f"{name!r}: {value!r}"
                raise TypeError(f"env must have names and strings, or None to unset, not {text}")
            if not name or "=" in name or "\0" in name + (value or ""):
                raise ValueError(f"env must have names and values without zeros, not {name!r}")
        if self.cwd is not None and not isinstance(self.cwd, (str, os.PathLike)):
            raise TypeError(f"cwd must be a path or None, not {self.cwd!r}")
        if self.finalizer is not None and not callable(self.finalizer):
            raise TypeError(f"finalizer must be a callable or None, not {self.finalizer!r}")
        threads = self.blas_threads
        if threads in (None, "auto"):
            return
        if isinstance(threads, bool) or not isinstance(threads, int):
            raise TypeError(f"blas_threads must be an int, 'auto' or None, not {threads!r}")
        if threads < 1:
            raise ValueError(f"blas_threads must be at least 1, not {threads}")

    def of_workers(self, processes: int) -> WorkerSettings:
        """Return what the workers are to know.

        Args:
            processes: how many there may be.
        """
        threads = self.blas_threads
        if threads == "auto":
            from millpond import _engine

            threads = max(_engine.cpu_count() // max(processes, 1), 1)
        env: dict[str, str | None] = dict(self.env or {})
        if threads is not None:
            env = {**dict.fromkeys(_THREADS, str(threads)), **env}
        cwd = None if self.cwd is None else os.fspath(self.cwd)
        return WorkerSettings(env, cwd, self.niceness, self.finalizer, threads, self.seed)

    def changes(self) -> dict[str, Any]:
        """Return the settings that are not the default, by name."""
        return {n: v for n, v in self._asdict().items() if v != self._field_defaults[n]}

    @property
    def engine(self) -> tuple[int | None, float | None]:
        """What the engine is to know: how many tasks may wait, and what a level is worth."""
        most = None if self.max_pending is None else min(self.max_pending, 2**62)
        if self.ageing is None or math.isfinite(self.ageing):
            return most, self.ageing
        return most, -1.0


class WorkerSettings(NamedTuple):
    """The settings that workers set themselves up with."""

    env: dict[str, str | None]
    cwd: str | None
    niceness: int | None
    finalizer: Callable[[], object] | None
    threads: int | None
    seed: int | None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a worker.

        Args:
            inherited: what it would have otherwise.
        """
        changed = {**inherited, **self.env}
        return {name: value for name, value in changed.items() if value is not None}

    def apply(self) -> None:
        """Set this process up, which is a worker.

        Raises:
            OSError: the system refuses it.
        """
        for name, value in self.env.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self.cwd is not None:
            os.chdir(self.cwd)
        if self.niceness is not None:
            os.nice(self.niceness)
        if self.threads is not None:
            self._limit_loaded(self.threads)

    @staticmethod
    def _limit_loaded(threads: int) -> None:
        """Tell libraries that were loaded before the fork: too late for the environment."""
        try:
            import threadpoolctl
        except ImportError:
            return
        threadpoolctl.threadpool_limits(threads)


_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables by which libraries of linear algebra are told how many threads to use."""

SETTINGS = frozenset(Settings._fields)
"""Their names."""
