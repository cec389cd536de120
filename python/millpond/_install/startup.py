"""Doing what the environment asks of an interpreter before the program's first line."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["INSTALL", "START_METHOD", "install_as_asked"]

INSTALL = "MILLPOND_INSTALL"
"""The variable that has an interpreter install millpond.

`1` reaches the Python programs that this one starts, too; `once` is for this program alone.
"""

START_METHOD = "MILLPOND_START_METHOD"
"""The variable with the start method that a program has unless it sets one, for it alone."""


def install_as_asked() -> None:
    """Install millpond; take from the environment what is for this program alone."""
    import millpond

    millpond.install()
    if os.environ.get(INSTALL) == "once":
        del os.environ[INSTALL]
    method = os.environ.pop(START_METHOD, None)
    if method is not None:
        _set_default_start_method(method)


def _set_default_start_method(method: str) -> None:
    """Change what is used when nothing is set, so that the program can still set it itself.

    `multiprocessing` waits for the program to import it, which may have a module of that name.
    """
    from millpond._install.import_hook import PostImportHook
    from millpond._shadowing import is_shadowed

    def set_default(module: ModuleType) -> None:
        if not is_shadowed():
            default: Any = module.context._default_context
            default._default_context = default.get_context(method)

    if "multiprocessing" in sys.modules:
        set_default(sys.modules["multiprocessing"])
    else:
        sys.meta_path.insert(0, PostImportHook(["multiprocessing"], set_default))
