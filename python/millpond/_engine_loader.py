"""Loading the compiled engine, and saying why where it does not load."""

from __future__ import annotations

from millpond._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NotInThisInterpreter", "load_engine"]


class NotInThisInterpreter(ImportError):
    """The engine does not load in a sub-interpreter."""


_OF_SUBINTERPRETERS = ("subinterpreters", "another interpreter of this process")
"""What CPython, and the engine, say of them."""


def load_engine() -> Any:
    """Return the compiled engine, once it is sure that it was built for this package's version.

    Raises:
        NotInThisInterpreter: this is a sub-interpreter for which the engine is not made.
        ImportError: the engine is missing, does not load, or is of another version.

    Example:
        >>> import millpond
        >>> from millpond._engine_loader import load_engine
        >>> load_engine().__version__ == millpond.__version__
        True
    """
    try:
        import millpond._engine as engine
    except ModuleNotFoundError:
        raise ImportError(
            f"millpond's compiled engine (millpond._engine) is missing: {_remedy()}",
            name="millpond._engine",
        ) from None
    except ImportError as error:
        if any(words in str(error) for words in _OF_SUBINTERPRETERS):
            raise NotInThisInterpreter(
                f"millpond does not work in this interpreter of the process ({error}): only the "
                "first that loads it can use it, if it is the main one or shares the main one's "
                "GIL; use multiprocessing here",
                name="millpond._engine",
                path=error.path,
            ) from error
        raise ImportError(
            f"millpond's compiled engine does not load ({error}): it was built for another "
            "interpreter or platform; reinstall millpond in this environment",
            name="millpond._engine",
            path=error.path,
        ) from error
    if engine.__version__ != __version__:
        raise ImportError(
            f"millpond {__version__} found an engine of version {engine.__version__}: "
            "two installations are mixed; uninstall millpond and install it again",
            name="millpond._engine",
            path=engine.__file__,
        )
    return engine


def _remedy() -> str:
    """Return what to do where the engine is missing."""
    import sysconfig

    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return (
            "this is a free-threaded build of Python, which needs the wheel cp315-abi3.abi3t of "
            "millpond, and CPython 3.15 or newer"
        )
    return (
        "install a wheel with `pip install millpond`, or build the engine in a checkout with "
        "`cargo xtask setup`"
    )
