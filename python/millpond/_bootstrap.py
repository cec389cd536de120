"""The few lines of Python that bring millpond into a process that has not imported it yet."""

import os
import sys

__all__ = ["install_source", "load_source"]

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
    """Return source text that imports millpond in another process of the same interpreter.

    It loads this very copy of the package by its place on the disk: the other process may have
    another `sys.path`, or another `millpond` in its current directory.

    Example:
        >>> import subprocess, sys
        >>> from millpond._bootstrap import load_source
        >>> code = load_source() + "print(millpond.is_installed())"
        >>> subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)
        'False\\n'
    """
    import millpond

    return _LOAD.format(root=os.path.dirname(millpond.__path__[0]))


def install_source() -> str:
    """Return source text that does the same, and installs millpond."""
    return load_source() + _imports_of_before() + "millpond.install()\n"


def _imports_of_before() -> str:
    """Return what the other process must import first, to have the same classes as this one.

    A module that was imported before `install()` derives its classes from the standard library's.
    """
    name = "concurrent.futures.process"
    queue = getattr(sys.modules.get(name), "_SafeQueue", None)
    if queue is None or any(base.__module__.startswith("millpond.") for base in queue.__mro__):
        return ""
    return f"import {name}\n"
