"""Putting millpond in place of `multiprocessing` in a running program and in its children."""

from __future__ import annotations

import os
import sys
from functools import partial

from millpond._on_import import ImportWatcher
from millpond._original import is_original
from millpond._patches import PATCHES

__all__ = ["SUBPROCESS_VARIABLE", "install", "is_installed", "uninstall"]

SUBPROCESS_VARIABLE = "MILLPOND_INSTALL"
"""The environment variable that makes a new Python process install millpond when it starts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from millpond._patches import Patch


def _apply(patch: Patch, module: ModuleType) -> None:
    # A program may have modules of these names itself; they are none of our business.
    if is_original():
        patch.apply(module)


_watcher = ImportWatcher({name: partial(_apply, patch) for name, patch in PATCHES.items()})
_installed = False


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
        os.environ[SUBPROCESS_VARIABLE] = "1"
    if _installed:
        return
    _installed = True
    sys.meta_path.insert(0, _watcher)
    for name, patch in PATCHES.items():
        if name in sys.modules:
            _apply(patch, sys.modules[name])


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
    global _installed
    os.environ.pop(SUBPROCESS_VARIABLE, None)
    if not _installed:
        return
    _installed = False
    if _watcher in sys.meta_path:
        sys.meta_path.remove(_watcher)
    for name, patch in PATCHES.items():
        if name in sys.modules and is_original():
            patch.revert(sys.modules[name])


def is_installed() -> bool:
    """Return whether `multiprocessing` runs on millpond in this process.

    Example:
        >>> import millpond
        >>> millpond.is_installed()
        False
    """
    return _installed
