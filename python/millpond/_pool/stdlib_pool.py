"""Pools that are the standard library's, whole, where a program brings parts of that pool.

`multiprocessing.pool.Pool` is built of methods (`_setup_queues`, `Process`, `_handle_tasks`, …)
that libraries override: joblib's pool brings its own queues. Millpond's pool has no such parts. So

- a pool whose class, or a base of that class other than `Pool`, defines one of them, and
- a pool of a context whose processes a zygote cannot make

is the standard library's pool: it works, and fails, as it does there. Any other is millpond's.

A zygote forks its workers, and makes the object of a worker's process in the worker. So it cannot
make processes of a class with a constructor or a `start` of its own, which are to run in the
program; it can where a class defines `run`, `daemon`, `_bootstrap` and names of its own.
"""

from __future__ import annotations

from functools import cache, wraps
from multiprocessing import context, process

from millpond import _cpython
from millpond import context as _ours
from millpond._install.stand_ins import original

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = [
    "PARTS",
    "become_stdlib",
    "initialize",
    "is_stdlib",
    "lend_parts",
    "on_stdlib_queues",
    "zygote_can_make",
]

_Pool: Any = original("multiprocessing.pool", "Pool")

PARTS = frozenset(
    name
    for name in vars(_Pool)
    if name == "Process" or (name.startswith("_") and not name.endswith("__"))
)
"""What the standard library's pool is built of."""


def on_stdlib_queues(setup_queues: Callable[[Any], None]) -> Callable[[Any], None]:
    """Have a pool make its queues as one whose context is the standard library's.

    Args:
        setup_queues: the method of the standard library's class.
    """

    @wraps(setup_queues)
    def _setup_queues(pool: Any) -> None:
        own = pool._ctx
        if not isinstance(own, _QueueMaker):
            pool._ctx = _QueueMaker(own)
        try:
            setup_queues(pool)
        finally:
            pool._ctx = own

    return _setup_queues


class _QueueMaker:
    """What a pool asks of its context when it makes its queues."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx

    def SimpleQueue(self) -> Any:
        return original("multiprocessing.queues", "SimpleQueue")(ctx=self)

    def Lock(self) -> Any:
        return original("multiprocessing.synchronize", "Lock")(ctx=self._ctx)


class _StdlibPool(_Pool):  # type: ignore[misc]
    """The standard library's pool on the standard library's queues, whatever its context has."""

    _setup_queues = on_stdlib_queues(_Pool._setup_queues)

    def stats(self) -> NoReturn:
        raise NotImplementedError(f"{self!r} is the standard library's pool: it has no stats")

    def timeline(self, title: str | None = None) -> NoReturn:
        raise NotImplementedError(f"{self!r} is the standard library's pool: it has no timeline")


def lend_parts(cls: type[Any]) -> None:
    """Have subclasses find the parts in millpond's pool where they name their base class."""
    for name in PARTS - vars(cls).keys():
        setattr(cls, name, (vars(_Pool) | vars(_StdlibPool))[name])


def become_stdlib(cls: type[Any]) -> None:
    """Have a new subclass derive from the standard library's pool if it brings parts of that.

    Its other bases stay: `super()` finds in them what it found, and the standard library's pool
    before millpond's.
    """
    if not is_stdlib(cls) and _brings_parts(cls):
        root = _root(cls)
        ours = _stdlib_kind(root)
        bases = tuple(ours if base is root else base for base in cls.__bases__)
        cls.__bases__ = bases if ours in bases else (*bases, ours)


def initialize(pool: Any, *arguments: Any) -> None:
    """Initialize an instance of any subclass as a pool of the standard library.

    Args:
        pool: an object that has not been initialized.
        arguments: those of the standard library's constructor.
    """
    cls = type(pool)
    if not is_stdlib(cls):
        ours = _stdlib_kind(_root(cls))
        if cls is not _root(cls):
            names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
            ours = type(cls.__name__, (cls, ours), names)
        pool.__class__ = ours
    _Pool.__init__(pool, *arguments)


def is_stdlib(cls: type[Any]) -> bool:
    """Return whether the pools of a class are the standard library's."""
    return issubclass(cls, _StdlibPool)


def zygote_can_make(ctx: Any) -> bool:
    """Return whether a pool's zygote can make the processes of a context."""
    kind = getattr(ctx, "Process", None)
    if not isinstance(kind, type) or not issubclass(kind, process.BaseProcess):
        return False
    method = ctx.get_start_method()
    started: Any = _cpython.get("multiprocessing.context", "_concrete_contexts")
    return (
        method in started
        # Contexts that libraries have added start their processes in ways of their own.
        and type(started[method]).__module__ == context.__name__
        and getattr(kind, "_start_method", None) in (None, method)
        and type(kind).__call__ is type.__call__
        and all(_CLOSED.isdisjoint(vars(base)) for base in kind.__mro__ if base not in _KINDS)
    )


_KINDS = frozenset(
    {
        object,
        process.BaseProcess,
        context.Process,
        context.ForkProcess,
        context.SpawnProcess,
        context.ForkServerProcess,
        _ours.NewerProcess,
        _ours.Process,
        _ours.ForkProcess,
        _ours.SpawnProcess,
        _ours.ForkServerProcess,
    }
)


class _Bare:
    """A class that defines nothing."""

    name: str


_CLOSED = frozenset(dir(context.ForkProcess)) - vars(_Bare).keys() - {"run", "daemon", "_bootstrap"}
"""What a class of processes must not define if a zygote is to make them."""


def _brings_parts(cls: type[Any]) -> bool:
    own = (base for base in cls.__mro__ if not _is_ours(base))
    return any(not PARTS.isdisjoint(vars(base)) for base in own)


def _is_ours(base: type[Any]) -> bool:
    return "_is_root" in vars(base) or base.__module__.startswith("millpond.")


def _root(cls: type[Any]) -> Any:
    """Return millpond's pool, or the one that stands in for the standard library's."""
    return next(base for base in cls.__mro__ if "_is_root" in vars(base))


@cache
def _stdlib_kind(root: Any) -> type[Any]:
    """Return the standard library's pool as a subclass of `root`, of which it has nothing."""
    members: dict[str, Any] = {
        name: None
        for base in root.__mro__
        for name, member in vars(base).items()
        # They would take the place of attributes that the standard library sets.
        if isinstance(member, property)
    }
    members |= {"__module__": root.__module__, "__qualname__": root.__qualname__}
    return type(root.__name__, (_StdlibPool, root), members)
