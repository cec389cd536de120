"""What a call asks of its pool beside its result: how long, how often, how failures count."""

from __future__ import annotations

import math
from typing import NamedTuple

from millpond.exceptions import TaskTimeoutError, WorkerCrashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, TypedDict

    from millpond import _engine

    OnError = Literal["raise", "return", "skip"]

    class Options(TypedDict, total=False):
        """The keywords of `Pool.options`, and of the constructors of pools."""

        timeout: float | None
        grace: float
        retries: int
        retry_on: type[BaseException] | tuple[type[BaseException], ...]
        retry_delay: float
        on_error: OnError | None
        return_exceptions: bool
        priority: int


__all__ = ["DEFAULT", "OPTIONS", "TaskOptions", "of_constructor", "shown"]

_MOST_RETRIES = 2**32 - 1


class TaskOptions(NamedTuple):
    """The options of the calls of a pool, or of a view of it; see `Pool.options`.

    Attributes:
        timeout: seconds that each item may take, from when a worker begins it.
        grace: seconds between the warning and the end of the worker; 0 for no warning.
        retries: how many more times an item may be begun.
        retry_on: exceptions for which it is.
        retry_delay: seconds before the first retry; twice as many before each further one.
        on_error: what an item's failure does to a call of several items.
        priority: what has more goes first.
        engine: the same as the engine has it; None if it is the default.
        is_itemized: whether each item is a task of its own to the engine.
    """

    timeout: float | None = None
    grace: float = 1.0
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = (WorkerCrashed,)
    retry_delay: float = 0.0
    on_error: OnError | None = None
    priority: int = 0
    engine: _engine.TaskOptions | None = None
    is_itemized: bool = False

    def changed(self, changes: Options, of: str = "options") -> TaskOptions:
        """Return these options with some of them changed.

        Args:
            changes: the keywords of a call.
            of: the name of the function that was called.

        Raises:
            TypeError: there is no option of a name, or its value is of a wrong type.
            ValueError: a value is out of range.
        """
        if not changes:
            return self
        given: dict[str, Any] = dict(changes)
        for name in given.keys() - OPTIONS:
            raise TypeError(f"{of}() got an unexpected keyword argument {name!r}")
        if "return_exceptions" in given:
            returns = given.pop("return_exceptions")
            if not isinstance(returns, bool):
                raise TypeError(f"return_exceptions must be True or False, not {returns!r}")
            if returns and given.get("on_error") not in (None, "return"):
                raise ValueError("return_exceptions=True is on_error='return': give one of them")
            if returns:
                given["on_error"] = "return"
        for name, value in given.items():
            given[name] = _CHECKS[name](name, value)
        return self._replace(**given)._completed()

    def _completed(self) -> TaskOptions:
        """Return them with what follows from the others."""
        is_limited = self.timeout is not None or self.retries > 0
        engine: _engine.TaskOptions | None = None
        if is_limited or self.priority != 0:
            from millpond import _engine as module

            engine = module.TaskOptions(
                self.priority,
                self.timeout,
                self.grace,
                self.retries,
                issubclass(WorkerCrashed, self.retry_on),
                issubclass(TaskTimeoutError, self.retry_on),
                self.retry_delay,
            )
        is_itemized = is_limited or self.on_error is not None
        return self._replace(engine=engine, is_itemized=is_itemized)


def _timeout(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if (seconds := _seconds(name, value)) == 0:
        raise ValueError(f"{name} must be more than 0 seconds, or None")
    return seconds


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be at least 0 seconds, not {value!r}")
    return float(value)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {value!r}")
    return int(value.__index__())


def _retries(name: str, value: Any) -> int:
    if not 0 <= (retries := _integer(name, value)) <= _MOST_RETRIES:
        raise ValueError(f"{name} must be at least 0, not {value!r}")
    return retries


def _priority(name: str, value: Any) -> int:
    if not -(2**31) <= (priority := _integer(name, value)) < 2**31:
        raise ValueError(f"{name} must be a 32-bit integer, not {value!r}")
    return priority


def _classes(name: str, value: Any) -> tuple[type[BaseException], ...]:
    classes = value if isinstance(value, tuple) else (value,)
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"{name} must be a class of exceptions or several, not {value!r}")
    return classes


def _on_error(name: str, value: Any) -> Any:
    if value not in (None, "raise", "return", "skip"):
        raise ValueError(f"{name} must be 'raise', 'return', 'skip' or None, not {value!r}")
    return value


_CHECKS = {
    "timeout": _timeout,
    "grace": _seconds,
    "retries": _retries,
    "retry_on": _classes,
    "retry_delay": _seconds,
    "on_error": _on_error,
    "priority": _priority,
}

OPTIONS = _CHECKS.keys() | {"return_exceptions"}
"""What they are called where they are given."""

DEFAULT = TaskOptions()
"""Nothing in particular."""


def of_constructor(options: Options, constructor: str) -> TaskOptions:
    """Return the options that the constructor of a pool was given.

    Raises:
        TypeError: there is no option of a name, or its value is of a wrong type.
        ValueError: a value is out of range.
    """
    return DEFAULT.changed(options, constructor)


def shown(options: TaskOptions) -> str:
    """Return those options that are not the default, as one writes them."""
    own, default = options._asdict(), DEFAULT._asdict()
    given = (f"{name}={own[name]!r}" for name in _CHECKS if own[name] != default[name])
    return ", ".join(given)
