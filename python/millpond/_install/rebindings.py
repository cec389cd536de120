"""What of `multiprocessing`, and of what builds on it, reads as millpond's while it is installed.

`TABLE` names each module, each name of it, and what makes millpond's object of the standard
library's. To install is to set these names, in modules that are imported already and, by one hook,
in those that will be. The originals are kept, and set again when millpond is taken out.

Code of the standard library that uses such a name itself, as `ThreadPool.__init__` uses `Pool`,
gets globals of its own, in which the name is still the standard library's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from importlib import import_module
from operator import attrgetter
from threading import Lock, RLock
from types import CodeType, FunctionType, ModuleType, SimpleNamespace

from millpond import _cpython
from millpond._install.import_hook import PostImportHook
from millpond._limits import engine_has_room
from millpond._original import is_original
from millpond._version import NotInThisInterpreter, load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["MOVED", "TABLE", "apply", "is_applied", "original", "revert"]

Make = Callable[["Any"], "Any"]
"""Returns millpond's object for one of the standard library's."""


def _ours(module: str) -> ModuleType:
    return import_module(module.replace("multiprocessing", "millpond"))


def _stand_ins(module: str, names: str) -> dict[str, Make]:
    """Names of classes that are to be a class of millpond's under the standard library's name."""

    def make(name: str, _: Any) -> Any:
        from millpond._install.stand_ins import stand_in

        return stand_in(module, name)

    return {name: partial(make, name) for name in names.split()}


def _same(module: str, names: str) -> dict[str, Make]:
    """Names that are to be millpond's object of that name."""

    def make(name: str, _: Any) -> Any:
        return getattr(_ours(module), name)

    return {name: partial(make, name) for name in names.split()}


def _functions(module: str, names: str) -> dict[str, Make]:
    """Names of functions that are to be millpond's where the engine has room."""

    def make(name: str, theirs: Any) -> Any:
        ours = getattr(_ours(module), name)

        @wraps(ours)
        def function(*args: Any, **kwargs: Any) -> Any:
            return (ours if engine_has_room() else theirs)(*args, **kwargs)

        function.__module__ = module
        return function

    return {name: partial(make, name) for name in names.split()}


def _connect(before: Any) -> Any:
    """Make `Connection(descriptor)` return millpond's for the descriptor of a millpond pipe.

    The class stays, so that it is one class to all who took it. So does this constructor: object's
    own would refuse arguments from a class that once had another.
    """

    connection = _cpython.get("multiprocessing.connection", "Connection")

    @wraps(connection.__init__, assigned=())
    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if is_applied() and cls is connection:
            from millpond.connection import Connection, is_pipe

            if is_pipe(args[0] if args else kwargs.get("handle")):
                return Connection(*args, **kwargs)
        return object.__new__(cls)

    return before or staticmethod(new)


def _with_stdlib_queues(set_up: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give pools of the standard library's own class queues of the standard library's."""

    @wraps(set_up)
    def _setup_queues(self: Any) -> None:
        from millpond._pool.stdlib_pool import set_up_queues

        set_up_queues(self, set_up)

    return _setup_queues


def _with_stream(thread_wakeup: Any) -> Any:
    """Have the executor of `concurrent.futures` wake its thread by a pipe of the standard library.

    Each `submit` sends it an empty message, under a lock that the thread needs before it reads. So
    the pipe must not be full, and a stream holds sixteen thousand of them; ours holds hundreds.
    """

    class ThreadWakeup(thread_wakeup):  # type: ignore[misc]
        _reader: Any
        _writer: Any

        def __init__(self) -> None:
            super().__init__()
            self._reader.close()
            self._writer.close()
            stream = original("multiprocessing.connection", "Pipe")
            self._reader, self._writer = stream(duplex=False)

    return ThreadWakeup


def _carry_to_child(
    get_preparation_data: Callable[[str], dict[str, Any]],
) -> Callable[[str], dict[str, Any]]:
    @wraps(get_preparation_data)
    def with_millpond(name: str) -> dict[str, Any]:
        from millpond._bootstrap import Installer

        # The child unpickles all of this before it imports the parent's `__main__`.
        return {**get_preparation_data(name), "millpond": Installer()}

    return with_millpond


def _started_by_value(name: str, popen: Any) -> Any:
    """Have processes of a class of the standard library's started as millpond's are.

    What does not pickle by reference is passed to those by value.
    """

    @wraps(popen.__func__)
    def _Popen(process_obj: Any) -> Any:
        try:
            load_engine()
        except NotInThisInterpreter:
            return popen.__func__(process_obj)
        return getattr(_ours("multiprocessing.context"), name)._Popen(process_obj)

    return staticmethod(_Popen)


def _follow_parent(prepare: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Have a child of a fork server that has millpond do without it if its parent does now."""

    @wraps(prepare)
    def follow(data: dict[str, Any]) -> None:
        if "millpond" not in data:
            revert()
        prepare(data)

    return follow


class _UtilOfForkServer:
    """`multiprocessing.util` as the module of the fork server sees it: the server has millpond.

    The list of modules that it preloads would be too late: the server imports `__main__` before
    those of the list.
    """

    def __init__(self, util: ModuleType) -> None:
        self._util = util

    def __getattr__(self, name: str) -> Any:
        return getattr(self._util, name)

    def spawnv_passfds(self, path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> Any:
        from millpond._bootstrap import install_source

        marker = _cpython.marker_of_fork_server()
        # Frozen programs know the text by its first words.
        start = f"{marker}exec({install_source()!r}, {{}}); "
        args = [a.replace(marker, start, 1) if isinstance(a, str) else a for a in args]
        return self._util.spawnv_passfds(path, args, passfds)


TABLE: Mapping[str, Mapping[str, Make]] = {
    "concurrent.futures.process": {"_ThreadWakeup": _with_stream},
    # Its contexts are imported with it.
    "multiprocessing": {
        f"context.{name}._Popen": partial(_started_by_value, name)
        for name in ("SpawnProcess", "ForkServerProcess")
    },
    "multiprocessing.connection": {
        **_functions("multiprocessing.connection", "Pipe"),
        **_same("multiprocessing.connection", "wait"),
        "Connection.__new__": _connect,
    },
    "multiprocessing.forkserver": {"util": _UtilOfForkServer},
    "multiprocessing.heap": _stand_ins("multiprocessing.heap", "BufferWrapper"),
    "multiprocessing.pool": {
        **_stand_ins("multiprocessing.pool", "Pool"),
        "Pool._setup_queues": _with_stdlib_queues,
    },
    "multiprocessing.queues": _stand_ins(
        "multiprocessing.queues", "JoinableQueue Queue SimpleQueue"
    ),
    "multiprocessing.sharedctypes": {
        **_functions(
            "multiprocessing.sharedctypes", "Array RawArray RawValue Value copy synchronized"
        ),
        **_same(
            "multiprocessing.sharedctypes",
            "Synchronized SynchronizedArray SynchronizedBase SynchronizedString",
        ),
    },
    "multiprocessing.spawn": {
        "get_preparation_data": _carry_to_child,
        "prepare": _follow_parent,
    },
    "multiprocessing.synchronize": {
        **_stand_ins(
            "multiprocessing.synchronize",
            "Barrier BoundedSemaphore Condition Event Lock RLock Semaphore",
        ),
        **_same("multiprocessing.synchronize", "SemLock"),
    },
}

_OURS = "connection heap pool queues sharedctypes synchronize".split()
"""The modules of which millpond has one of the same name."""

MOVED = {
    name: f"multiprocessing.{short}"
    for short in _OURS
    for name in TABLE[f"multiprocessing.{short}"]
    if name.isidentifier()
}
"""The classes and functions that pickle finds in `stand_ins` meanwhile, and their modules."""
_STAND_INS = "millpond._install.stand_ins"

_is_applied = False
_changing = RLock()
_swapping = Lock()
_swapped: dict[str, list[tuple[Any, str, Any, Any]]] = {}
"""For each module that was done: whose attributes were set, their names, what they were and are."""
_own: dict[str, dict[str, Any]] = {}
"""The globals that the standard library's own functions of such a module have."""


def _free_in_child() -> None:
    # The threads that held them do not exist there.
    global _changing, _swapping
    _changing, _swapping = RLock(), Lock()


os.register_at_fork(after_in_child=_free_in_child)


def apply() -> None:
    """Set the names of the modules that are imported, and see to it for those that will be."""
    global _is_applied
    # Whoever finds it installed finds all of it installed.
    with _changing:
        if _is_applied:
            return
        _is_applied = True
        sys.meta_path.insert(0, _hook)
        try:
            for name in TABLE:
                if name in sys.modules:
                    # Another thread may be in the middle of it, too far for the hook.
                    import_module(name)
                _rebind(name)
        except BaseException:
            revert()
            raise


def revert() -> None:
    """Set the names to what they were."""
    global _is_applied
    with _changing:
        _is_applied = False
        if _hook in sys.meta_path:
            sys.meta_path.remove(_hook)
        with _swapping:
            while _swapped:
                _swap_back(*_swapped.popitem())


def is_applied() -> bool:
    """Return whether the names are millpond's."""
    return _is_applied


def original(module: str, name: str) -> Any:
    """Return what is the standard library's under a name of a module, installed or not."""
    names = vars(import_module(module))
    return _own.get(module, names)[name]


def _rebind(name: str, *, anew: bool = False) -> None:
    """Set the names of a module, if all that it takes has been imported.

    Args:
        name: of the module.
        anew: its code was executed, perhaps once more.
    """
    module = sys.modules.get(name)
    # A program may have modules of these names itself; they are none of our business.
    if module is None or not is_original() or not _has(module, TABLE[name]):
        return
    try:
        # What is imported with `multiprocessing` itself needs it when it is used.
        if name != "multiprocessing":
            load_engine()
    except NotInThisInterpreter:
        # A sub-interpreter keeps what it would have without millpond.
        revert()
        return
    short = name.removeprefix("multiprocessing.")
    if short in _OURS and not _has(_ours(name), MOVED.keys() & TABLE[name].keys()):
        # It is being imported, and has imported the standard library's. The hook calls again.
        return
    with _swapping:
        if anew and not _is_in_place(module):
            _swapped.pop(name, None)
            _own.pop(name, None)
        if _is_applied and name not in _swapped:
            _swap(module)


def _is_in_place(module: ModuleType) -> bool:
    """Return whether a module that was done has the names still, of which its code may set some."""
    changes = _swapped.get(module.__name__, [])
    of_modules = [change for change in changes if isinstance(change[0], ModuleType)]
    return all(
        owner is module and vars(owner).get(attribute) is after
        for owner, attribute, _, after in of_modules
    )


def _has(module: ModuleType, names: Iterable[str]) -> bool:
    return all(name.partition(".")[0] in vars(module) for name in names)


def _swap(module: ModuleType) -> None:
    name = module.__name__
    changes = [*_keep_names(module)] if name in MOVED.values() else []
    for path, make in TABLE[name].items():
        owner, _, attribute = path.rpartition(".")
        changes.append((attrgetter(owner)(module) if owner else module, attribute, make))
    swapped = _swapped.setdefault(name, [])
    for owner, attribute, make in changes:
        before = vars(owner).get(attribute)
        after = make(before)
        if after is not before:
            swapped.append((owner, attribute, before, after))
            setattr(owner, attribute, after)


def _keep_names(module: ModuleType) -> Iterator[tuple[Any, str, Make]]:
    """Prepare the globals of a module's own functions; yield which functions are to have them."""
    members = vars(module).copy()
    rebound = [name for name in TABLE[module.__name__] if name.isidentifier()]
    # A module among the globals (`connection` in `queues`) is as it was, too.
    modules = {
        name: SimpleNamespace(**_own[value.__name__])
        for name, value in members.items()
        if isinstance(value, ModuleType) and value.__name__ in _own
    }
    own = _own[module.__name__] = members | modules
    keep = partial(_with_globals, before=vars(module), own=own, names={*rebound, *modules})
    for kind in members.values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            yield from ((kind, member, keep) for member in list(vars(kind)))
    for name in rebound:
        own[name] = keep(own[name])
        own[name].__module__ = members[name].__module__ = _STAND_INS


def _swap_back(name: str, swapped: list[tuple[Any, str, Any, Any]]) -> None:
    _own.pop(name, None)
    for owner, attribute, before, after in reversed(swapped):
        if getattr(before, "__module__", None) == _STAND_INS:
            before.__module__ = name
        # What someone else put there meanwhile is theirs to take away.
        if before is not None and vars(owner).get(attribute) is after:
            setattr(owner, attribute, before)


def _with_globals(member: Any, before: dict[str, Any], own: dict[str, Any], names: set[str]) -> Any:
    """Return a function with its own globals if it uses one of the names, else what it is."""
    if isinstance(member, (staticmethod, classmethod)):
        inner = _with_globals(member.__func__, before, own, names)
        return member if inner is member.__func__ else type(member)(inner)
    # A library may have put a function of its own there.
    if not isinstance(member, FunctionType) or member.__globals__ is not before:
        return member
    if not _uses(member.__code__, names):
        return member
    function = FunctionType(
        member.__code__, own, member.__name__, member.__defaults__, member.__closure__
    )
    function.__kwdefaults__, function.__qualname__ = member.__kwdefaults__, member.__qualname__
    return function


def _uses(code: CodeType, names: set[str]) -> bool:
    nested = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return not names.isdisjoint(code.co_names) or any(_uses(inner, names) for inner in nested)


_hook = PostImportHook(
    {name: lambda _, name=name: _rebind(name, anew=True) for name in TABLE}
    | {f"millpond.{s}": lambda _, s=s: _rebind(f"multiprocessing.{s}") for s in _OURS}
)
