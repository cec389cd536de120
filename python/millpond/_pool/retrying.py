"""A function whose exceptions are to have it tried again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Retrying", "kinds_of"]


class Retrying:
    """Calls a function, and has with it for which exceptions the pool is to try it again.

    The worker asks for them when the call has raised one; whether it is tried again is the pool's
    to say, which counts.

    Attributes:
        retry_on: the classes of the exceptions.
    """

    def __init__(
        self, function: Callable[..., Any], retry_on: tuple[type[BaseException], ...]
    ) -> None:
        self._function = function
        self.retry_on = retry_on
        name = getattr(function, "__qualname__", None)
        # By which messages call it.
        self.__qualname__ = name if isinstance(name, str) else repr(function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


def kinds_of(function: object) -> tuple[type[BaseException], ...]:
    """Return the classes of exceptions for which a function is to be tried again."""
    return function.retry_on if type(function) is Retrying else ()
