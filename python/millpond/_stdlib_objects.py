"""How the standard library's locks, queues and values go to other processes once it is installed.

They may have been made before. Pickle names their classes by module and name, where millpond's are
found by then; so they say themselves where their classes are: among the module's own names.
"""

from __future__ import annotations

from importlib import import_module
from multiprocessing.reduction import ForkingPickler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["register"]

_CLASSES = {
    "multiprocessing.heap": ["BufferWrapper"],
    "multiprocessing.queues": ["JoinableQueue", "Queue", "SimpleQueue"],
    "multiprocessing.sharedctypes": [
        "Synchronized",
        "SynchronizedArray",
        "SynchronizedBase",
        "SynchronizedString",
    ],
    "multiprocessing.synchronize": [
        "Barrier",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "Lock",
        "RLock",
        "Semaphore",
    ],
}


def register(module: ModuleType) -> None:
    """Have objects of a module's own classes pickled so that they are found again."""
    for name in _CLASSES.get(module.__name__, ()):
        reduce = _reduce_call if module.__name__.endswith("sharedctypes") else _reduce_state
        ForkingPickler.register(vars(module)[name], reduce)


def _reduce_state(value: Any) -> tuple[Any, ...]:
    cls = type(value)
    return _new, (cls.__module__, cls.__name__), value.__getstate__()


def _reduce_call(value: Any) -> tuple[Any, ...]:
    function, arguments = value.__reduce__()
    return _call, (function.__module__, function.__name__, arguments)


def _new(module: str, name: str) -> Any:
    cls = vars(import_module(module))[name]
    return cls.__new__(cls)


def _call(module: str, name: str, arguments: tuple[Any, ...]) -> Any:
    return vars(import_module(module))[name](*arguments)
