"""Process parallelism that does not hang: `multiprocessing`'s names on millpond's engine.

`import millpond as multiprocessing` is the only line that a program changes; `python -m millpond
script.py` and `millpond.install()` need no change at all.

Example:
    >>> import millpond as multiprocessing
    >>> with multiprocessing.Pool(2) as pool:
    ...     pool.map(abs, [-1, 2, -3])
    [1, 2, 3]

The names are looked up when they are first used, so that importing the package costs next to
nothing: neither `multiprocessing` nor the engine is loaded before it is needed.
"""

import sys as _sys

# This file parses in older versions too, so that they get to say it.
if _sys.version_info < (3, 11):  # noqa: UP036
    raise ImportError(
        "millpond needs CPython 3.11 or newer; this is Python %d.%d (%s)"  # noqa: UP031
        % (_sys.version_info[0], _sys.version_info[1], _sys.executable)
    )

from millpond._version import __version__

SUBDEBUG = 5
SUBWARNING = 25

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing import reduction as reducer
    from multiprocessing.context import (
        AuthenticationError,
        BufferTooShort,
        Process,
        ProcessError,
        TimeoutError,
    )
    from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined]

    from millpond._arrays import shared_array, shared_array_from
    from millpond._executor import ProcessPoolExecutor
    from millpond._install import install, is_installed, uninstall
    from millpond.context import _default_context
    from millpond.exceptions import (
        BrokenPool,
        OwnerDied,
        PoolTerminated,
        RemoteError,
        TaskExited,
        TasksLost,
        WorkerCrashed,
        WrongProcess,
    )

    Array = _default_context.Array
    Barrier = _default_context.Barrier
    BoundedSemaphore = _default_context.BoundedSemaphore
    Condition = _default_context.Condition
    Event = _default_context.Event
    JoinableQueue = _default_context.JoinableQueue
    Lock = _default_context.Lock
    Manager = _default_context.Manager
    Pipe = _default_context.Pipe
    Pool = _default_context.Pool
    Queue = _default_context.Queue
    RLock = _default_context.RLock
    RawArray = _default_context.RawArray
    RawValue = _default_context.RawValue
    Semaphore = _default_context.Semaphore
    SimpleQueue = _default_context.SimpleQueue
    Value = _default_context.Value
    active_children = _default_context.active_children
    allow_connection_pickling = _default_context.allow_connection_pickling
    cpu_count = _default_context.cpu_count
    current_process = _default_context.current_process
    freeze_support = _default_context.freeze_support
    get_all_start_methods = _default_context.get_all_start_methods
    get_context = _default_context.get_context
    get_logger = _default_context.get_logger
    get_start_method = _default_context.get_start_method
    log_to_stderr = _default_context.log_to_stderr
    parent_process = _default_context.parent_process
    set_executable = _default_context.set_executable
    set_forkserver_preload = _default_context.set_forkserver_preload
    set_start_method = _default_context.set_start_method

__all__ = [
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BrokenPool",
    "BufferTooShort",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "MaybeEncodingError",
    "OwnerDied",
    "Pipe",
    "Pool",
    "PoolTerminated",
    "Process",
    "ProcessError",
    "ProcessPoolExecutor",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "RemoteError",
    "Semaphore",
    "SimpleQueue",
    "TaskExited",
    "TasksLost",
    "TimeoutError",
    "Value",
    "WorkerCrashed",
    "WrongProcess",
    "__version__",
    "active_children",
    "allow_connection_pickling",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "install",
    "is_installed",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
    "shared_array",
    "shared_array_from",
    "uninstall",
]


# Where names live that are not those of the default context.
_HOMES = {
    "BrokenPool": "millpond.exceptions",
    "MaybeEncodingError": "multiprocessing.pool",
    "OwnerDied": "millpond.exceptions",
    "PoolTerminated": "millpond.exceptions",
    "ProcessPoolExecutor": "millpond._executor",
    "RemoteError": "millpond.exceptions",
    "TaskExited": "millpond.exceptions",
    "TasksLost": "millpond.exceptions",
    "WorkerCrashed": "millpond.exceptions",
    "WrongProcess": "millpond.exceptions",
    "install": "millpond._install",
    "is_installed": "millpond._install",
    "shared_array": "millpond._arrays",
    "shared_array_from": "millpond._arrays",
    "uninstall": "millpond._install",
}
_SUBMODULES = frozenset(
    {
        "connection",
        "context",
        "dummy",
        "exceptions",
        "forkserver",
        "heap",
        "managers",
        "pool",
        "popen_fork",
        "popen_forkserver",
        "popen_spawn_posix",
        "popen_spawn_win32",
        "process",
        "queues",
        "reduction",
        "resource_sharer",
        "resource_tracker",
        "shared_memory",
        "sharedctypes",
        "spawn",
        "synchronize",
        "util",
    }
)

if not TYPE_CHECKING:

    def __getattr__(name):
        """Find a name where it lives, and keep it."""
        from millpond._original import import_ours

        if name in _SUBMODULES:
            return import_ours("millpond." + name)
        if name not in __all__:
            raise AttributeError("module 'millpond' has no attribute " + repr(name))
        if name in _HOMES:
            home = import_ours(_HOMES[name])
        else:
            home = import_ours("millpond.context")._default_context
        value = globals()[name] = getattr(home, name)
        return value

    def __dir__():
        return sorted(set(globals()) | set(__all__) | _SUBMODULES)
