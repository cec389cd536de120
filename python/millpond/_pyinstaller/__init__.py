"""Tells PyInstaller, which asks by an entry point, what a program that imports millpond needs."""

from __future__ import annotations

import os

__all__ = ["hook_dirs"]


def hook_dirs() -> list[str]:
    """Return the directory of the hooks.

    Example:
        >>> from millpond._pyinstaller import hook_dirs
        >>> "hook-millpond.py" in os.listdir(*hook_dirs())
        True
    """
    return [os.path.dirname(__file__)]
