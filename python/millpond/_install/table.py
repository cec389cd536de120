"""What of `multiprocessing`, and of what builds on it, is millpond's while it is installed.

To install is to set these names, in modules that are imported already and, by one hook, in those
that will be. The originals are kept, and set again when millpond is taken out.
"""

from __future__ import annotations

from functools import partial, wraps
from importlib import import_module
from types import ModuleType

import millpond
from millpond import _cpython
from millpond._bootstrap import Executed, install_source
from millpond._install.stand_ins import counterpart, original, stand_in
from millpond._limits import engine_has_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    _Make: TypeAlias = Callable[[str, str], Any]

__all__ = ["OURS", "WRAPPED"]


def _same(module: str, name: str) -> Any:
    """Return millpond's object of that name."""
    return getattr(counterpart(module), name)


def _where_room(module: str, name: str) -> Any:
    """Return a function that calls millpond's where the engine has room."""
    ours, theirs = _same(module, name), original(module, name)

    @wraps(ours)
    def function(*args: Any, **kwargs: Any) -> Any:
        return (ours if engine_has_room() else theirs)(*args, **kwargs)

    function.__module__ = module
    return function


_KINDS: Sequence[tuple[_Make, str, str]] = (
    (_same, "connection", "wait"),
    (_same, "sharedctypes", "Synchronized SynchronizedArray SynchronizedBase SynchronizedString"),
    (_same, "synchronize", "SemLock"),
    (_where_room, "connection", "Pipe"),
    (_where_room, "sharedctypes", "Array RawArray RawValue Value copy synchronized"),
    (stand_in, "heap", "BufferWrapper"),
    (stand_in, "pool", "Pool"),
    (stand_in, "queues", "JoinableQueue Queue SimpleQueue"),
    (stand_in, "synchronize", "Barrier BoundedSemaphore Condition Event Lock RLock Semaphore"),
)

OURS: dict[str, dict[str, _Make]] = {}
"""For each module, the names that are to be millpond's of the same name, and what makes them."""

for _make, _module, _names in _KINDS:
    OURS.setdefault(f"multiprocessing.{_module}", {}).update(dict.fromkeys(_names.split(), _make))


def _connect(before: Any) -> Any:
    """Make `Connection(descriptor)` return millpond's for the descriptor of a millpond pipe.

    The class stays, so that it is one class to all who took it. So does this constructor: object's
    own would refuse arguments from a class that once had another.
    """
    connection = _cpython.get("multiprocessing.connection", "Connection")

    @wraps(connection.__init__, assigned=())
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        from millpond.connection import Connection, is_pipe

        if cls is connection and is_pipe(args[0] if args else kwargs.get("handle")):
            return Connection(*args, **kwargs)
        return object.__new__(cls)

    return before or staticmethod(new)


def _by(module: str, name: str) -> Callable[[Any], Any]:
    """Return a function of a module that is imported when it is called."""
    return lambda before: getattr(import_module(module), name)(before)


def _with_stream(initialize: Callable[[Any], None]) -> Callable[[Any], None]:
    """Have the executor of `concurrent.futures` wake its thread by a pipe of the standard library.

    Each `submit` sends it an empty message, under a lock that the thread needs before it reads. So
    the pipe must not be full, and a stream holds sixteen thousand of them; ours holds hundreds.
    """

    @wraps(initialize)
    def __init__(self: Any) -> None:
        initialize(self)
        self._reader.close()
        self._writer.close()
        stream = original("multiprocessing.connection", "Pipe")
        self._reader, self._writer = stream(duplex=False)

    return __init__


def _carry_to_child(get_preparation_data: Callable[[str], dict[str, Any]]) -> Any:
    @wraps(get_preparation_data)
    def with_millpond(name: str) -> dict[str, Any]:
        # The child unpickles all of this before it imports the parent's `__main__`.
        return {**get_preparation_data(name), "millpond": Executed(install_source())}

    return with_millpond


def _follow_parent(prepare: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Have a child of a fork server that has millpond do without it if its parent does now."""

    @wraps(prepare)
    def follow(data: dict[str, Any]) -> None:
        if "millpond" not in data:
            millpond.uninstall()
        prepare(data)

    return follow


def _with_millpond_in_fork_server(util: ModuleType) -> ModuleType:
    """Return `multiprocessing.util` for the module that starts the fork server with it.

    The list of modules that the server preloads would be too late for millpond: the server imports
    `__main__` before those of the list.
    """

    def spawnv_passfds(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> Any:
        marker = _cpython.marker_of_fork_server()
        # Frozen programs know the text by its first words.
        start = f"{marker}exec({install_source()!r}, {{}}); "
        args = [a.replace(marker, start, 1) if isinstance(a, str) else a for a in args]
        return util.spawnv_passfds(path, args, passfds)

    seen = ModuleType(util.__name__, util.__doc__)
    vars(seen).update(__getattr__=partial(getattr, util), spawnv_passfds=spawnv_passfds)
    return seen


_BY_VALUE = {"Popen._launch": _by("millpond._pickling.passing", "pass_by_value")}

WRAPPED: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "concurrent.futures.process": {"_ThreadWakeup.__init__": _with_stream},
    "multiprocessing.connection": {"Connection.__new__": _connect},
    "multiprocessing.forkserver": {"util": _with_millpond_in_fork_server},
    # Pools of the standard library's own class have queues of the standard library's.
    "multiprocessing.pool": {
        "Pool._setup_queues": _by("millpond._pool.stdlib_pool", "on_stdlib_queues")
    },
    "multiprocessing.popen_forkserver": _BY_VALUE,
    "multiprocessing.popen_spawn_posix": _BY_VALUE,
    "multiprocessing.spawn": {"get_preparation_data": _carry_to_child, "prepare": _follow_parent},
}
"""For each module, what of it or of its classes becomes what a function makes of it."""
