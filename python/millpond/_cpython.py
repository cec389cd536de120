"""The private names of CPython that millpond uses: which they are, and the one way to them.

A release of CPython may move any of them. `tests/test_cpython_names.py` looks each of them up in
the running interpreter and says which one is gone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["NAMES", "NEWER", "OF_A_FUTURE", "get", "marker_of_fork_server", "names_of_stdlib"]

NAMES: Mapping[str, str] = {
    "concurrent.futures": "_base",
    "concurrent.futures.process": "_ThreadWakeup",
    "copyreg": "dispatch_table",
    "importlib._bootstrap": "_module_locks",
    "multiprocessing.connection": "Connection Pipe wait",
    "multiprocessing.context": "_concrete_contexts _default_context",
    "multiprocessing.forkserver": "_forkserver._preload_modules util",
    "multiprocessing.heap": "BufferWrapper",
    "multiprocessing.pool": "MaybeEncodingError Pool._setup_queues RemoteTraceback",
    "multiprocessing.popen_spawn_posix": "_DupFd",
    "multiprocessing.process": "_children _dangling _process_counter",
    "multiprocessing.queues": "JoinableQueue Queue SimpleQueue connection",
    "multiprocessing.reduction": "ForkingPickler._extra_reducers",
    "multiprocessing.resource_tracker": "_resource_tracker",
    "multiprocessing.sharedctypes": "SynchronizedBase",
    "multiprocessing.spawn": (
        "_check_not_importing_main get_command_line get_preparation_data prepare"
    ),
    "multiprocessing.synchronize": "SemLock",
    "multiprocessing.util": "_args_from_interpreter_flags _flush_std_streams spawnv_passfds",
    "threading": "_shutdown",
    "weakref": "finalize._registry",
}
"""The modules, and what of each is used. Names with dots are those of an object of the module."""

NEWER: Mapping[tuple[str, str], tuple[int, int, int]] = {
    # gh-146313: without it, a process that forks in its own way loses the resource tracker.
    ("multiprocessing.resource_tracker", "_fork_intent"): (3, 14, 5),
}
"""Names that older releases lack, with a release that has them."""


OF_A_FUTURE = "_condition _done_callbacks _exception _result _state _waiters"
"""The attributes of each `concurrent.futures.Future` that millpond's results have too."""


def get(module: str, name: str) -> Any:
    """Return what a module has under one of the names above.

    Raises:
        ImportError: this CPython does not have it.
    """
    assert name in NAMES[module].split(), (module, name)
    try:
        return attrgetter(name)(import_module(module))
    except AttributeError:
        raise ImportError(
            f"millpond does not know CPython {sys.version.split()[0]}: {module} has no {name}",
            name=module,
        ) from None


def names_of_stdlib(module: str) -> Callable[[str], Any]:
    """Return a `__getattr__` by which a module of millpond's has what the standard library's has.

    Args:
        module: the module of millpond's.
    """

    def __getattr__(name: str) -> Any:
        theirs = module.replace("millpond", "multiprocessing")
        if name.startswith("__") or not hasattr(import_module(theirs), name):
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        return getattr(import_module(theirs), name)

    return __getattr__


def marker_of_fork_server() -> str:
    """Return the words of a fork server's source text behind which it may import more."""
    return "from multiprocessing.forkserver import main; "
