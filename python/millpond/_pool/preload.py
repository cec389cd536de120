"""What is imported before a pool's workers are forked, as `set_forkserver_preload` has it."""

from __future__ import annotations

import warnings
from typing import NamedTuple

__all__ = ["Preload"]

MAIN = "__main__"


class Preload(NamedTuple):
    """The modules, and what an `ImportError` of one of them means."""

    names: tuple[str, ...]
    """Of the modules; `__main__` is the program."""
    on_error: str = "ignore"
    """`"ignore"`, `"warn"` or `"fail"`, as CPython 3.15 has it."""

    @classmethod
    def wanted(cls, method: str) -> Preload:
        """Return what this program asked for: `__main__`, or what it set for its fork server."""
        if method != "forkserver":
            return cls((MAIN,))
        from multiprocessing.forkserver import _forkserver

        server = vars(_forkserver)
        # Before CPython 3.15 there is no choice.
        on_error = server.get("_preload_on_error", "ignore")
        return cls(tuple(server["_preload_modules"]), on_error)

    @property
    def has_main(self) -> bool:
        """Whether the program is imported."""
        return MAIN in self.names

    def less(self) -> Preload:
        """Return what is left where the program cannot be imported; then, where nothing can."""
        names = tuple(name for name in self.names if name != MAIN) if self.has_main else ()
        return self._replace(names=names)

    def run(self) -> ImportError | None:
        """Import all but `__main__`; return the error by which no worker is to be set up."""
        for name in self.names:
            if name == MAIN:
                continue
            try:
                __import__(name)
            except ImportError as error:
                # Unless this is reported here, the code that needs the module will report it.
                if self.on_error == "fail":
                    return error
                if self.on_error == "warn":
                    text = f"Failed to preload module {name!r}: {error}"
                    warnings.warn(text, ImportWarning, stacklevel=2)
        return None
