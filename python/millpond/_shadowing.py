"""Whether a module of the program's own hides the standard library's `multiprocessing`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_ours", "is_shadowed"]


def is_shadowed() -> bool:
    """Return whether another module is in the place of `multiprocessing`, or none is.

    A script's own `multiprocessing.py` comes before the standard library's on the path.

    Example:
        >>> import multiprocessing
        >>> from millpond._shadowing import is_shadowed
        >>> is_shadowed()
        False
    """
    # Not by where it lies: tools move the standard library, or a part of it, elsewhere.
    return not hasattr(sys.modules.get("multiprocessing"), "context")


def import_ours(name: str) -> ModuleType:
    """Import a module of millpond's, which needs the standard library's.

    Raises:
        ImportError: another module is in the place of `multiprocessing`.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        module = sys.modules.get("multiprocessing")
        missing = error.name or ""
        if not missing.startswith("multiprocessing") or module is None or not is_shadowed():
            raise
        where = getattr(module, "__file__", None)
        raise ImportError(
            "millpond needs the standard library's multiprocessing, but another module has that "
            f"name: {where or module}; rename it, or take its directory from sys.path",
            name="multiprocessing",
            path=where,
        ) from None
