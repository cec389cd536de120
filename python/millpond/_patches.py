"""The places of `multiprocessing`, and of what builds on it, that millpond changes when installed.

- Classes that millpond has, such as `multiprocessing.pool.Pool`, read as millpond's. The modules'
  own globals keep the standard library's: `ThreadPool` needs its `Pool`.
- What a spawn or forkserver child is told about its parent also installs millpond in the child.
- Managers keep the standard library's shared memory.
- The fork server installs millpond before it imports the modules that it preloads.
"""

from __future__ import annotations

from functools import cache, partial, wraps
from importlib import import_module
from types import ModuleType, SimpleNamespace

from millpond._start_methods import bind_to_start_method

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Protocol

    class Patch(Protocol):
        """A change to a module that can be taken back."""

        def apply(self, module: ModuleType) -> None: ...
        def revert(self, module: ModuleType) -> None: ...


__all__ = ["PATCHES"]


class NamesPatch:
    """Makes some names of a module of `multiprocessing` read as millpond's.

    Properties of the module's class come before the module's own names for whoever imports them,
    but not for the functions inside of the module.
    """

    def __init__(self, **providers: Callable[[], Any]) -> None:
        """Take a function for each name, which returns what the name reads as."""
        members = {name: _override(name, provide) for name, provide in providers.items()}
        self._class = type("InstalledModule", (ModuleType,), members)

    def apply(self, module: ModuleType) -> None:
        from millpond._stdlib_objects import register

        module.__class__ = self._class
        # Objects that were made before, too, are to go to other processes.
        register(module)

    def revert(self, module: ModuleType) -> None:
        vars(module).pop(_OVERRIDES, None)
        module.__class__ = ModuleType


_OVERRIDES = "_millpond_overrides"
"""Where a module keeps what programs set the names to."""


def _override(name: str, provide: Callable[[], Any]) -> property:
    def read(module: ModuleType) -> Any:
        overrides = vars(module).get(_OVERRIDES, {})
        return overrides[name] if name in overrides else provide()

    def write(module: ModuleType, value: Any) -> None:
        overrides = vars(module).setdefault(_OVERRIDES, {})
        # Whoever replaced the class for a while may put back what `vars(module)` showed.
        if value is vars(module)[name]:
            overrides.pop(name, None)
        else:
            overrides[name] = value

    return property(read, write)


@cache
def _under_stdlib_name(module: str, name: str) -> Any:
    """Return a class of millpond's under the name that programs know it by."""
    from millpond._version import load_engine

    load_engine()
    ours = getattr(import_module(f"millpond.{module}"), name)
    original = vars(import_module(f"multiprocessing.{module}"))[name]
    namespace = {"__module__": f"multiprocessing.{module}", "__doc__": ours.__doc__}
    kind: type = type
    if module != "pool":
        namespace |= bind_to_start_method(ours)
    if module == "queues":
        from millpond._queue_subclasses import kind_of_queue

        kind = kind_of_queue(original, ours)
        namespace["_stands_in"] = True
    return kind(name, (ours,), namespace)


class FunctionPatch:
    """Wraps one function of a module."""

    def __init__(self, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
        self._name = name
        self._wrap = wrap

    def apply(self, module: ModuleType) -> None:
        original = getattr(module, self._name)
        self._wrapper = wraps(original)(self._wrap(original))
        setattr(module, self._name, self._wrapper)

    def revert(self, module: ModuleType) -> None:
        # A wrapper that someone else put around ours is theirs to take away.
        if getattr(module, self._name) is self._wrapper:
            setattr(module, self._name, self._wrapper.__wrapped__)


class GlobalPatch:
    """Replaces what the functions of a module find under one of its names."""

    def __init__(self, name: str, replacement: Callable[[Any], Any]) -> None:
        """Take the name, and a function that makes the replacement of what is there."""
        self._name = name
        self._replacement = replacement

    def apply(self, module: ModuleType) -> None:
        if self._name not in vars(module):
            # The module is being imported, and that is what led to `install()`.
            self._original = None
            return
        self._original = vars(module)[self._name]
        vars(module)[self._name] = self._replacement(self._original)

    def revert(self, module: ModuleType) -> None:
        if self._original is not None:
            vars(module)[self._name] = self._original


class Carrier:
    """Installs millpond in the process that unpickles it, from where this process has it."""

    def __reduce__(self) -> tuple[Any, ...]:
        from millpond._bootstrap import install_source

        return exec, (install_source(), {})


def _carry_to_child(
    get_preparation_data: Callable[[str], dict[str, Any]],
) -> Callable[[str], dict[str, Any]]:
    def with_millpond(name: str) -> dict[str, Any]:
        # The child unpickles all of this before it imports the parent's `__main__`.
        return {**get_preparation_data(name), "millpond": Carrier()}

    return with_millpond


def _carry_to_fork_server(spawnv_passfds: Callable[..., int]) -> Callable[..., int]:
    def with_millpond(path: bytes, args: Sequence[str | bytes], passfds: Sequence[int]) -> int:
        return spawnv_passfds(path, [_with_bootstrap(arg) for arg in args], passfds)

    return with_millpond


def _with_bootstrap(argument: str | bytes) -> str | bytes:
    if isinstance(argument, str) and argument.startswith("from multiprocessing.forkserver import"):
        from millpond._bootstrap import install_source

        return install_source() + argument
    return argument


def _ours(module: str, *names: str) -> NamesPatch:
    """Make names of a module read as what millpond's module of the same name has."""

    def provider(name: str) -> Callable[[], Any]:
        return lambda: getattr(import_module(f"millpond.{module}"), name)

    return NamesPatch(**{name: provider(name) for name in names})


def _wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait until one at least of some objects is ready; see `millpond.connection.wait`."""
    # Modules of the standard library take the function when they are imported, which is too early
    # for the engine.
    from millpond.connection import wait

    return wait(object_list, timeout)


_wait.__name__ = _wait.__qualname__ = "wait"


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
            stream = vars(import_module("multiprocessing.connection"))["Pipe"]
            self._reader, self._writer = stream(duplex=False)

    return ThreadWakeup


PATCHES: Mapping[str, Patch] = {
    "concurrent.futures.process": GlobalPatch("_ThreadWakeup", _with_stream),
    "multiprocessing.connection": NamesPatch(
        Connection=lambda: import_module("millpond.connection").Connection,
        Pipe=lambda: import_module("millpond.connection").Pipe,
        wait=lambda: _wait,
    ),
    "multiprocessing.heap": _ours("heap", "BufferWrapper"),
    # Blocks of a `SharedMemoryManager` are named objects of the system, which outlive the process
    # that asked for them: those of the standard library.
    "multiprocessing.managers": GlobalPatch(
        "shared_memory", lambda module: SimpleNamespace(**vars(module))
    ),
    "multiprocessing.pool": NamesPatch(Pool=partial(_under_stdlib_name, "pool", "Pool")),
    "multiprocessing.shared_memory": _ours("shared_memory", "ShareableList", "SharedMemory"),
    "multiprocessing.sharedctypes": _ours(
        "sharedctypes",
        *"Array RawArray RawValue Value copy synchronized".split(),
        *"Synchronized SynchronizedArray SynchronizedBase SynchronizedString".split(),
    ),
    "multiprocessing.queues": NamesPatch(
        **{
            name: partial(_under_stdlib_name, "queues", name)
            for name in ("JoinableQueue", "Queue", "SimpleQueue")
        },
    ),
    "multiprocessing.synchronize": NamesPatch(
        SemLock=lambda: import_module("millpond.synchronize").SemLock,
        **{
            name: partial(_under_stdlib_name, "synchronize", name)
            for name in "Barrier BoundedSemaphore Condition Event Lock RLock Semaphore".split()
        },
    ),
    "multiprocessing.spawn": FunctionPatch("get_preparation_data", _carry_to_child),
    "multiprocessing.util": FunctionPatch("spawnv_passfds", _carry_to_fork_server),
}
