"""The package's version, and the check that the compiled engine belongs to it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["__version__", "load_engine"]

__version__ = "0.1.0"


def load_engine() -> Any:
    """Return the compiled engine, once it is sure that it was built for this package's version.

    Raises:
        ImportError: the engine is missing, does not load, or is of another version.

    Example:
        >>> from millpond._version import __version__, load_engine
        >>> load_engine().__version__ == __version__
        True
    """
    try:
        import millpond._engine as engine
    except ModuleNotFoundError:
        raise ImportError(
            "millpond's compiled engine (millpond._engine) is missing: install a wheel with "
            "`pip install millpond`, or build the engine in a checkout with `maturin develop`",
            name="millpond._engine",
        ) from None
    except ImportError as error:
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
