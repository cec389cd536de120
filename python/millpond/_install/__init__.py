"""Putting millpond in place of `multiprocessing` in a running program and in its children."""

from __future__ import annotations

import os

from millpond._install import rebindings

__all__ = ["SUBPROCESS_VARIABLE", "install", "is_installed", "uninstall"]

SUBPROCESS_VARIABLE = "MILLPOND_INSTALL"
"""The environment variable that makes a new Python process install millpond when it starts."""


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
    if subprocesses:
        os.environ[SUBPROCESS_VARIABLE] = "1"
    rebindings.apply()


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
    os.environ.pop(SUBPROCESS_VARIABLE, None)
    rebindings.revert()


def is_installed() -> bool:
    """Return whether `multiprocessing` runs on millpond in this process.

    Example:
        >>> import millpond
        >>> millpond.is_installed()
        False
    """
    return rebindings.is_applied()
