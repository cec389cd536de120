"""Putting millpond in place of `multiprocessing` in a running program and in its children."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from threading import Lock, RLock

from millpond._engine_loader import NotInThisInterpreter, load_engine
from millpond._install import stand_ins
from millpond._install.import_hook import PostImportHook
from millpond._install.startup import INSTALL
from millpond._install.table import OURS, WRAPPED
from millpond._shadowing import is_shadowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType
    from typing import Any

__all__ = ["install", "is_installed", "uninstall"]

_installed = False
_changing = RLock()
_setting = Lock()
_changes: dict[str, list[tuple[Any, str, Any, Any]]] = {}
"""For each module that was done: whose attributes were set, their names, what they were and are."""


def install(*, subprocesses: bool = False) -> None:
    """Make `multiprocessing` run on millpond, in this process and in those that it starts.

    However the program imports it, what it then gets from `multiprocessing` is millpond's:
    `multiprocessing.Pool`, `multiprocessing.get_context("spawn").Pool`,
    `from multiprocessing.pool import Pool`. Children started by `multiprocessing` follow, whatever
    the start method. A second call changes nothing.

    Names that were taken from `multiprocessing.pool` before the call stay what they were, so call
    it early.

    Args:
        subprocesses: also set the environment variable `MILLPOND_INSTALL`, so that Python
            programs started through `subprocess` follow too. They need millpond in the
            `site-packages` of their interpreter.

    Raises:
        ImportError: `multiprocessing` is imported already, and millpond's compiled engine is
            missing or does not load. Otherwise importing `multiprocessing` raises it.

    Example:
        >>> import millpond
        >>> millpond.install()
        >>> from multiprocessing.pool import Pool
        >>> issubclass(Pool, millpond.pool.Pool)
        True
        >>> millpond.uninstall()
    """
    global _installed
    if subprocesses:
        os.environ[INSTALL] = "1"
    # A thread that finds it installed finds all of it installed.
    with _changing:
        if _installed:
            return
        _installed = True
        sys.meta_path.insert(0, _hook)
        try:
            for name in (*OURS, *WRAPPED):
                if name in sys.modules:
                    # Another thread may be in the middle of it, too far for the hook.
                    import_module(name)
                    _rebind(name)
        except BaseException:
            _revert()
            raise


def uninstall() -> None:
    """Give `multiprocessing` back to the standard library, in this process and in new children.

    Pools that exist go on. A call without `install` changes nothing.

    Example:
        >>> import millpond, multiprocessing.pool
        >>> millpond.install()
        >>> millpond.uninstall()
        >>> multiprocessing.pool.Pool is millpond.pool.Pool
        False
    """
    os.environ.pop(INSTALL, None)
    _revert()


def is_installed() -> bool:
    """Return whether `multiprocessing` runs on millpond in this process.

    Example:
        >>> import millpond
        >>> millpond.is_installed()
        False
    """
    return _installed


def _rebind(name: str) -> None:
    """Set the names of a module, if it and all that it takes have been imported."""
    module = sys.modules.get(name)
    ours, wrapped = OURS.get(name, {}), WRAPPED.get(name, {})
    taken = {path.partition(".")[0] for path in (*ours, *wrapped)}
    # A program may have modules of these names itself; they are none of our business.
    if module is None or is_shadowed() or not taken <= vars(module).keys():
        return
    try:
        load_engine()
    except NotInThisInterpreter:
        # A sub-interpreter keeps what it would have without millpond.
        _revert()
        return
    if ours and not ours.keys() <= vars(stand_ins.counterpart(name)).keys():
        # It is being imported, and has imported the standard library's. The hook calls again.
        return
    with _setting:
        if _installed and name not in _changes:
            changes = _changes[name] = []
            for owner, attribute, after in _rows(module, ours, wrapped):
                changes.append((owner, attribute, vars(owner).get(attribute), after))
                setattr(owner, attribute, after)


def _rows(module: ModuleType, ours: Mapping[str, Any], wrapped: Mapping[str, Any]) -> Iterator[Any]:
    """Yield of what an attribute is to be set, its name and what it is to be."""
    if ours:
        yield from stand_ins.keep(module, ours)
    for path, wrap in wrapped.items():
        kind, _, attribute = path.rpartition(".")
        owner = vars(module)[kind] if kind else module
        yield owner, attribute, wrap(vars(owner).get(attribute))
    for attribute, make in ours.items():
        yield module, attribute, make(module.__name__, attribute)


def _revert() -> None:
    global _installed
    with _changing:
        _installed = False
        if _hook in sys.meta_path:
            sys.meta_path.remove(_hook)
        with _setting:
            while _changes:
                name, changes = _changes.popitem()
                for owner, attribute, before, after in reversed(changes):
                    # What someone else put there meanwhile is theirs to take away.
                    if before is not None and vars(owner).get(attribute) is after:
                        setattr(owner, attribute, before)
                stand_ins.forget(name)


def _after_import(module: ModuleType) -> None:
    with _setting:
        # Its code may have been executed before.
        _changes.pop(module.__name__, None)
    _rebind(module.__name__.replace("millpond", "multiprocessing"))


_hook = PostImportHook(
    [*OURS, *WRAPPED, *(name.replace("multiprocessing", "millpond") for name in OURS)],
    _after_import,
)


def _free_in_child() -> None:
    # The threads that held them do not exist there.
    global _changing, _setting
    _changing, _setting = RLock(), Lock()


os.register_at_fork(after_in_child=_free_in_child)
