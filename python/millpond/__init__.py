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

from millpond._version import __version__ as __version__

SUBDEBUG = 5
SUBWARNING = 25

TYPE_CHECKING = False
if TYPE_CHECKING:
    __all__ = list[str]()
    # The same names as below, for type checkers (`tests/test_names.py` compares).
    from multiprocessing import reduction as _reduction
    from multiprocessing.context import AuthenticationError as AuthenticationError
    from multiprocessing.context import BufferTooShort as BufferTooShort
    from multiprocessing.context import ProcessError as ProcessError
    from multiprocessing.context import TimeoutError as TimeoutError
    from multiprocessing.pool import (  # type: ignore[attr-defined]
        MaybeEncodingError as MaybeEncodingError,
    )

    from millpond import connection as connection
    from millpond import context as context
    from millpond import dummy as dummy
    from millpond import exceptions as exceptions
    from millpond import futures as futures
    from millpond import heap as heap
    from millpond import managers as managers
    from millpond import pool as pool
    from millpond import process as process
    from millpond import queues as queues
    from millpond import reduction as reduction
    from millpond import shared_memory as shared_memory
    from millpond import sharedctypes as sharedctypes
    from millpond import synchronize as synchronize
    from millpond import util as util
    from millpond._install import install as install
    from millpond._install import is_installed as is_installed
    from millpond._install import uninstall as uninstall
    from millpond._pool.streams import rng as rng
    from millpond.arrays import shared_array as shared_array
    from millpond.arrays import shared_array_from as shared_array_from
    from millpond.context import Process as Process
    from millpond.context import _default_context
    from millpond.exceptions import BarrierDeadlock as BarrierDeadlock
    from millpond.exceptions import BrokenPool as BrokenPool
    from millpond.exceptions import Deadlock as Deadlock
    from millpond.exceptions import OwnerDied as OwnerDied
    from millpond.exceptions import PoisonTask as PoisonTask
    from millpond.exceptions import PoolFull as PoolFull
    from millpond.exceptions import PoolTerminated as PoolTerminated
    from millpond.exceptions import ReceiveDeadlock as ReceiveDeadlock
    from millpond.exceptions import RemoteTaskError as RemoteTaskError
    from millpond.exceptions import TaskExited as TaskExited
    from millpond.exceptions import TasksLost as TasksLost
    from millpond.exceptions import TaskTimeout as TaskTimeout
    from millpond.exceptions import TaskTimeoutError as TaskTimeoutError
    from millpond.exceptions import WorkerCrashed as WorkerCrashed
    from millpond.exceptions import WrongProcess as WrongProcess
    from millpond.futures import ProcessPoolExecutor as ProcessPoolExecutor

    # They are functions, as in the standard library, whose stubs have classes here, too, for
    # annotations such as `Queue[int]`.
    from millpond.queues import JoinableQueue as JoinableQueue
    from millpond.queues import Queue as Queue
    from millpond.queues import SimpleQueue as SimpleQueue

    reducer = _reduction
    Array = _default_context.Array
    Barrier = _default_context.Barrier
    BoundedSemaphore = _default_context.BoundedSemaphore
    Condition = _default_context.Condition
    Event = _default_context.Event
    Lock = _default_context.Lock
    Manager = _default_context.Manager
    Pipe = _default_context.Pipe
    Pool = _default_context.Pool
    RLock = _default_context.RLock
    RawArray = _default_context.RawArray
    RawValue = _default_context.RawValue
    Semaphore = _default_context.Semaphore
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
    set_deadlock_errors = _default_context.set_deadlock_errors
    set_executable = _default_context.set_executable
    set_forkserver_preload = _default_context.set_forkserver_preload
    set_pickle_by_value = _default_context.set_pickle_by_value
    set_start_method = _default_context.set_start_method
else:
    _DEFAULT_CONTEXT = "millpond.context"

    # The public names, by where they live. A name of the first module is the default context's.
    _HOMES = {
        name: module
        for module, names in {
            _DEFAULT_CONTEXT: """
                Array AuthenticationError Barrier BoundedSemaphore BufferTooShort Condition Event
                JoinableQueue Lock Manager Pipe Pool Process ProcessError Queue RLock RawArray
                RawValue Semaphore SimpleQueue TimeoutError Value active_children
                allow_connection_pickling cpu_count current_process freeze_support
                get_all_start_methods get_context get_logger get_start_method log_to_stderr
                parent_process reducer set_deadlock_errors set_executable set_forkserver_preload
                set_pickle_by_value set_start_method
            """,
            "millpond.arrays": "shared_array shared_array_from",
            "millpond.futures": "ProcessPoolExecutor",
            "millpond._install": "install is_installed uninstall",
            "millpond._pool.streams": "rng",
            "millpond.exceptions": """
                BarrierDeadlock BrokenPool Deadlock OwnerDied PoolFull PoolTerminated
                ReceiveDeadlock PoisonTask RemoteTaskError TaskExited TaskTimeout TaskTimeoutError
                TasksLost WorkerCrashed WrongProcess
            """,
            "multiprocessing.pool": "MaybeEncodingError",
        }.items()
        for name in names.split()
    }
    _SUBMODULES = frozenset(
        """
        connection context dummy exceptions forkserver futures heap managers pool popen_fork
        popen_forkserver popen_spawn_posix process queues reduction resource_sharer
        resource_tracker shared_memory sharedctypes spawn synchronize util
        """.split()
    )
    __all__ = sorted(list(_HOMES) + ["__version__"])  # noqa: RUF005

    def __getattr__(name):
        """Find a name where it lives, and keep it."""
        from millpond._shadowing import import_ours

        if name in _SUBMODULES:
            return import_ours("millpond." + name)
        if name not in _HOMES:
            raise AttributeError("module 'millpond' has no attribute " + repr(name))
        home = import_ours(_HOMES[name])
        if _HOMES[name] == _DEFAULT_CONTEXT:
            home = home._default_context
        value = globals()[name] = getattr(home, name)
        return value

    def __dir__():
        return sorted(set(globals()) | set(__all__) | _SUBMODULES)
