"""`Generic`, for classes with type parameters, without the time that importing `typing` takes.

Type checkers see the one of `typing`, and type variables in the place of `Parameter`.
"""

from __future__ import annotations

import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import Generic as Generic

    Parameter: Any
else:
    Parameter = object

    class Generic:
        """Makes a class subscriptable: `Queue[int]` is what it is for classes of the builtins."""

        __slots__ = ()

        __class_getitem__ = classmethod(types.GenericAlias)
