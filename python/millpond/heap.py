"""Pieces of anonymous shared memory, as in `multiprocessing.heap`.

`BufferWrapper` is millpond's. `Arena` and `Heap`, the machinery behind the standard library's, are
re-exported; millpond does not use them.
"""

from __future__ import annotations

import sys
from multiprocessing.heap import Arena, Heap

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._pickling.codec import view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._engine import SharedBytes

__all__ = ["Arena", "BufferWrapper", "Heap"]


class BufferWrapper:
    r"""A piece of anonymous shared memory, which is zero at first.

    It is not in any file system and is freed when no process refers to it any more. Pieces of up to
    32 KiB share a descriptor; a larger one has its own.

    Example:
        >>> from millpond.heap import BufferWrapper
        >>> memory = BufferWrapper(10).create_memoryview()
        >>> memory[:5] = b"hello"
        >>> bytes(memory)
        b'hello\x00\x00\x00\x00\x00'
    """

    # The standard library allocates from it. Programs replace it with a new one, which has no
    # effect here.
    _heap: Any = None

    def __init__(self, size: int) -> None:
        """Allocate memory.

        Args:
            size: in bytes.

        Raises:
            ValueError: the size is negative.
            OverflowError: the size is more than a program can address.
            MemoryError: the size is more than this machine's memory.
            OSError: no descriptor is left.
        """
        if size < 0:
            raise ValueError(f"Size {size:n} out of range")
        if sys.maxsize <= size:
            raise OverflowError(f"Size {size:n} too large")
        self.memory: SharedBytes = load_engine().SharedBytes(size)

    def create_memoryview(self) -> memoryview:
        """Return a writable view of the memory, which stays valid as long as the view exists."""
        size = len(self.memory)
        # There is no view of nothing; of one byte there is, and every piece of memory has that.
        return view(self.memory.address, max(size, 1), self.memory)[:size]


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
