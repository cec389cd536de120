"""The few lines of Python that bring millpond into a process that has not imported it yet."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Executed", "install_source", "load_source"]

_LOAD = """\
import sys
if "millpond" not in sys.modules:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec
    spec = PathFinder.find_spec("millpond", [{root!r}])
    if spec is None:
        raise ImportError("millpond is gone from " + {root!r}, name="millpond")
    sys.modules["millpond"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["millpond"])
import millpond
"""


def load_source() -> str:
    r"""Return source text that imports millpond in another process of the same interpreter.

    It loads this very copy of the package by its place on the disk: the other process may have
    another `sys.path`, or another `millpond` in its current directory. A frozen program has its
    modules in itself.

    Example:
        >>> import subprocess, sys
        >>> from millpond._bootstrap import load_source
        >>> code = load_source() + "print(millpond.is_installed())"
        >>> subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)
        'False\n'
    """
    import millpond

    if getattr(sys, "frozen", False):
        return "import millpond\n"
    return _LOAD.format(root=os.path.dirname(millpond.__path__[0]))


def install_source() -> str:
    """Return source text that does the same, and installs millpond."""
    return load_source() + "millpond.install()\n"


class Executed:
    """Source text that is executed in the process that unpickles it."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self._source, {})
