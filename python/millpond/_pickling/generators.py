"""The generators of random numbers that all of a process shares, as references.

`random.random` and its kin are methods of one generator of the module, and so are NumPy's. Pickle
takes a copy of the generator along, in its state of that moment: a task that is such a function
would draw from the copy. Workers of a pool with a seed seed their own for each item, so there it is
theirs that a task means. Without a seed the copy goes, as in the standard library.
"""

from __future__ import annotations

import sys
from pickle import DEFAULT_PROTOCOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["reducers"]

_SHARED = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))


def _reduced(generator: Any) -> Any:
    for module, name in _SHARED:
        if getattr(sys.modules.get(module), name, None) is generator:
            return name
    return generator.__reduce_ex__(DEFAULT_PROTOCOL)


class _Reducers(dict[type, "Callable[[Any], Any]"]):
    """The reducers by type; the modules may be imported at any time."""

    def __missing__(self, cls: type) -> Any:
        for module, name in _SHARED:
            if type(getattr(sys.modules.get(module), name, self)) is cls:
                self[cls] = _reduced
                return _reduced
        raise KeyError(cls)


reducers = _Reducers()
"""For a pickler's table of them."""
