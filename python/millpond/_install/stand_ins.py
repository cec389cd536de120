"""Classes that stand in for those of `multiprocessing`, and how pickle finds both kinds.

While millpond is installed, `multiprocessing.queues.Queue` is a class of millpond's. Pickle finds a
class by its name, but objects of both kinds travel: some were made before, and some go to children
that libraries start in their own way, where millpond is not installed. So a class that stands in is
pickled as a call of `stand_in`. The standard library's classes are members of this module for as
long as millpond is installed.
"""

from __future__ import annotations

import copyreg
import threading
import types
from abc import ABCMeta
from functools import wraps
from importlib import import_module

from millpond._limits import engine_has_room
from millpond._version import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature
    from typing import Any

__all__ = ["ClosedStandIn", "StandIn", "stand_in"]


class StandIn(ABCMeta):
    """The class of classes that stand in for the standard library's.

    An object of the standard library's class is an instance of the one that stands in for it, too:
    it may have been made before. An abstract class may derive from one that stands in.
    """

    _home: tuple[str, str]
    """The module and the name of a class that stands in; its subclasses have none."""

    def __instancecheck__(cls, instance: object) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        if "_home" not in vars(cls):
            return super().__subclasscheck__(subclass)
        return issubclass(subclass, (_original(cls), *cls.__bases__))


class ClosedStandIn(StandIn):
    """The class of all of them but the pool: their subclasses are the standard library's.

    Libraries (joblib's loky, torch, `concurrent.futures`) derive from the queue and replace or use
    its pipe, its locks or its thread, of which millpond's queues have none. And an object must be
    of the same class in the process that receives it, which may have defined it before millpond was
    installed, after that, or without millpond. So a subclass has the standard library's class as
    its base, whenever it is defined.
    """

    def __new__(
        cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **keywords: Any
    ) -> Any:
        if "_home" in members:
            return super().__new__(cls, name, bases, members, **keywords)
        bases = tuple(_original(base) if isinstance(base, cls) else base for base in bases)
        return types.new_class(name, bases, keywords, lambda body: body.update(members))

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if engine_has_room():
            return super().__call__(*args, **kwargs)
        return _original(cls)(*args, **kwargs)

    @property
    def __signature__(cls) -> Signature:
        from inspect import signature

        return signature(cls.__bases__[0])


_made: dict[tuple[str, str], Any] = {}
_making = threading.Lock()


def stand_in(module: str, name: str) -> Any:
    """Return a class of millpond's under the name that programs know it by.

    Args:
        module: a module of `multiprocessing`.
        name: a class of that module.
    """
    load_engine()
    ours = getattr(import_module(module.replace("multiprocessing", "millpond")), name)
    with _making:
        if (module, name) not in _made:
            _made[module, name] = _make(module, name, ours)
        return _made[module, name]


def _make(module: str, name: str, ours: Any) -> Any:
    members = {"__module__": module, "__doc__": ours.__doc__, "_home": (module, name)}
    if module == "multiprocessing.pool":
        return StandIn(name, (ours,), members | {"_is_root": True})
    if module != "multiprocessing.heap":
        members |= _bound_to_start_method(ours)
    return ClosedStandIn(name, (ours,), members)


def _bound_to_start_method(ours: Any) -> dict[str, Any]:
    """Return the members by which a lock or a queue stays with the start method of its context.

    The standard library does not pass a lock of a fork context, nor anything that has one, to a
    process of spawn or forkserver. Millpond's could go: `millpond.Lock()` does. But a program that
    says `multiprocessing.Lock()` is one for the standard library, and what it learns under millpond
    must hold there too.

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


def _original(cls: StandIn) -> type:
    from millpond._install.rebindings import original

    found: type = original(*cls._home)
    return found


def _reduce(cls: StandIn) -> str | tuple[Any, ...]:
    return (stand_in, cls._home) if "_home" in vars(cls) else cls.__qualname__


# Pickle asks there for the classes of a class that is not `type`.
for _kind in (StandIn, ClosedStandIn):
    copyreg.pickle(_kind, _reduce)


def __getattr__(name: str) -> Any:
    from millpond._install.rebindings import MOVED, original

    if name not in MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return original(MOVED[name], name)
