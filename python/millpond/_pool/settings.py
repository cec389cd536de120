"""The settings of a pool that have names: of its size, of what may wait, and of its workers."""

from __future__ import annotations

import math
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Self, TypedDict

    from millpond._pool.options import Options

    class PoolSettings(TypedDict, total=False):
        """Keywords of the constructors of pools and executors."""

        idle_timeout: float | None
        max_pending: int | None
        when_full: Literal["block", "raise"]
        ageing: float | None

    class PoolOptions(PoolSettings, Options, total=False):
        """Those, and the options of all calls."""


__all__ = ["SETTINGS", "Settings"]


class Settings(NamedTuple):
    """The settings of a pool; `millpond.pool.Pool` documents them."""

    idle_timeout: float | None = None
    max_pending: int | None = None
    when_full: Literal["block", "raise"] = "block"
    ageing: float | None = None

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


SETTINGS = frozenset(Settings._fields)
"""Their names."""
