"""Locks and queues under the names of `multiprocessing` refuse what they refuse there.

The standard library does not pass a lock of a fork context, nor anything that has one, to a process
of spawn or forkserver. Millpond's could go: `millpond.Lock()` does. But a program that says
`multiprocessing.Lock()` is one for the standard library, and what it learns under millpond must
hold there too.
"""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["bind_to_start_method"]


def bind_to_start_method(ours: Any) -> dict[str, Any]:
    """Return the members by which a subclass of `ours` stays with the start method of its context.

    Args:
        ours: a class of millpond's whose constructor has the argument `ctx`.
    """
    # Not before `multiprocessing` is, whose place a program's own module may have taken.
    from multiprocessing import context

    @wraps(ours.__init__)
    def __init__(self: Any, *args: Any, ctx: Any = None, **kwargs: Any) -> None:
        ours.__init__(self, *args, ctx=ctx, **kwargs)
        if (ctx or context._default_context).get_start_method() == "fork":
            self._is_fork_ctx = True

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        # In a queue's item or a task's arguments, both of which the standard library refuses under
        # each start method, they may go.
        if self._is_fork_ctx and context.get_spawning_popen() is not None:
            raise RuntimeError(
                f"A SemLock created in a fork context is being shared with a process in a spawn "
                f"context: {type(self).__name__}. Make it with the context that starts the "
                "process, or take it from millpond, whose locks and queues go everywhere."
            )
        return ours.__reduce_ex__(self, protocol)

    # What arrives in a spawned process may go to any other.
    return {"__init__": __init__, "__reduce_ex__": __reduce_ex__, "_is_fork_ctx": False}
