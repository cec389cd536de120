"""Classes that stand in for those of `multiprocessing`, and what becomes of the originals.

Code of the standard library that uses such a name itself, as `ThreadPool.__init__` uses `Pool`,
gets globals of its own, in which the name is still the standard library's.

Pickle finds a class by its name, but objects of both kinds travel: some were made before, and some
go to children that libraries start in their own way, where millpond is not installed. So a class
that stands in is pickled as a call of `stand_in`, and the standard library's classes are members of
this module for as long as millpond is installed.
"""

from __future__ import annotations

import copyreg
import types
from abc import ABCMeta
from importlib import import_module
from types import CodeType, FunctionType, ModuleType, SimpleNamespace

from millpond._limits import engine_has_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from inspect import Signature
    from typing import Any

__all__ = ["ClosedStandIn", "StandIn", "counterpart", "forget", "keep", "original", "stand_in"]


_own: dict[str, dict[str, Any]] = {}
"""The globals that the standard library's own functions of a module have."""


def counterpart(module: str) -> ModuleType:
    """Return millpond's module of the same name as one of the standard library's."""
    return import_module(module.replace("multiprocessing", "millpond"))


def original(module: str, name: str) -> Any:
    """Return what is the standard library's under a name of a module, installed or not."""
    return _own.get(module, vars(import_module(module)))[name]


class StandIn(ABCMeta):
    """The class of classes that stand in for the standard library's.

    An object of the standard library's class is an instance of the one that stands in for it, too:
    it may have been made before. An abstract class may derive from one that stands in.
    """

    _home: tuple[str, str]
    """The module and the name of a class that stands in; its subclasses have none."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        if "_home" not in vars(cls):
            return super().__subclasscheck__(subclass)
        return issubclass(subclass, (original(*cls._home), *cls.__bases__))


class ClosedStandIn(StandIn):
    """The class of all of them but the pool: their subclasses are the standard library's.

    Libraries (joblib's loky, torch, `concurrent.futures`) derive from the queue and replace or use
    its pipe, its locks or its thread, of which millpond's queues have none. And an object must be
    of the same class in the process that receives it, which may have defined it before millpond was
    installed, after that, or without millpond. So a subclass has the standard library's class as
    its base, whenever it is defined.

    The standard library does not pass a lock of a fork context, nor anything that has one, to a
    process of spawn or forkserver. Millpond's could go: `millpond.Lock()` does. But a program that
    says `multiprocessing.Lock()` is one for the standard library, and what it learns under millpond
    must hold there too.
    """

    def __new__(cls, name: str, bases: Any, members: dict[str, Any], **keywords: Any) -> Any:
        if "_home" in members:
            return super().__new__(cls, name, bases, members, **keywords)
        bases = tuple(original(*base._home) if isinstance(base, cls) else base for base in bases)
        return types.new_class(name, bases, keywords, lambda body: body.update(members))

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not engine_has_room():
            return original(*cls._home)(*args, **kwargs)
        made = super().__call__(*args, **kwargs)
        ctx = kwargs.get("ctx")
        made._is_fork_ctx = ctx is not None and ctx.get_start_method() == "fork"
        return made

    @property
    def __signature__(cls) -> Signature:
        from inspect import signature

        return signature(cls.__bases__[0])


_made: dict[tuple[str, str], Any] = {}


def stand_in(module: str, name: str) -> Any:
    """Return a class of millpond's under the name that programs know it by.

    Args:
        module: a module of `multiprocessing`.
        name: a class of that module.
    """
    home = module, name
    if home not in _made:
        ours = getattr(counterpart(module), name)
        members = {"__module__": module, "__doc__": ours.__doc__, "_home": home}
        if module == "multiprocessing.pool":
            made: Any = StandIn(name, (ours,), members | {"_is_root": True})
        else:
            # What arrives in a spawned process may go to any other.
            members |= {"_is_fork_ctx": False, "__reduce_ex__": _reduce_ex}
            made = ClosedStandIn(name, (ours,), members)
        # Another thread may have made one meanwhile.
        _made.setdefault(home, made)
    return _made[home]


def _reduce_ex(self: Any, protocol: Any) -> Any:
    from multiprocessing.context import get_spawning_popen

    # In a queue's item or a task's arguments, both of which the standard library refuses under each
    # start method, it may go.
    if self._is_fork_ctx and get_spawning_popen() is not None:
        raise RuntimeError(
            f"A SemLock created in a fork context is being shared with a process in a spawn "
            f"context: {type(self).__name__}. Make it with the context that starts the process, "
            "or take it from millpond, whose locks and queues go everywhere."
        )
    return super(type(self), self).__reduce_ex__(protocol)


def _reduce(cls: StandIn) -> str | tuple[Any, ...]:
    return (stand_in, cls._home) if "_home" in vars(cls) else cls.__qualname__


# Pickle asks there for the classes of a class that is not `type`.
for _kind in (StandIn, ClosedStandIn):
    copyreg.pickle(_kind, _reduce)


def keep(module: ModuleType, names: Collection[str]) -> Iterator[tuple[type, str, Any]]:
    """Remember what is under some names of a module, for the module's own use.

    Yields:
        Each class, and the attribute of it, that is to be another function, and that function.
    """
    before = vars(module)
    # A module among the globals (`connection` in `queues`) is as it was, too.
    modules = [name for name in before if getattr(before[name], "__name__", None) in _own]
    own = _own[module.__name__] = before.copy()
    own.update((name, SimpleNamespace(**_own[before[name].__name__])) for name in modules)
    used = {*names, *modules}
    for kind in before.copy().values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            for attribute, member in vars(kind).copy().items():
                after = _with_globals(member, before, own, used)
                if after is not member:
                    yield kind, attribute, after
    for name in names:
        own[name] = _with_globals(own[name], before, own, used)
        own[name].__module__ = __name__


def forget(module: str) -> None:
    """Let pickle find what was kept of a module in that module again."""
    for each in _own.pop(module, {}).values():
        if getattr(each, "__module__", None) == __name__:
            each.__module__ = module


def _with_globals(member: Any, before: dict[str, Any], own: dict[str, Any], used: set[str]) -> Any:
    """Return a function that uses one of the names with globals of its own, else what it is."""
    function = getattr(member, "__func__", member)
    # A library may have put a function of its own there.
    is_own = isinstance(function, FunctionType) and function.__globals__ is before
    if not is_own or not _uses(function.__code__, used):
        return member
    new = FunctionType(
        function.__code__, own, function.__name__, function.__defaults__, function.__closure__
    )
    new.__kwdefaults__, new.__qualname__ = function.__kwdefaults__, function.__qualname__
    return new if member is function else type(member)(new)


def _uses(code: CodeType, names: set[str]) -> bool:
    nested = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return not names.isdisjoint(code.co_names) or any(_uses(inner, names) for inner in nested)


def __getattr__(name: str) -> Any:
    if not name.startswith("__"):
        from millpond._install.table import OURS

        for module, names in OURS.items():
            if name in names:
                return original(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
