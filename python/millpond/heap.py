"""Pieces of anonymous shared memory, as in `multiprocessing.heap`.

`BufferWrapper` is millpond's. `Arena` and `Heap`, the machinery behind the standard library's, are
re-exported for whoever names them; nothing of millpond uses them.
"""

from __future__ import annotations

import sys
from multiprocessing.heap import Arena, Heap

from millpond._codec import view
from millpond._version import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Arena", "BufferWrapper", "Heap"]


class BufferWrapper:
    """Zeroed bytes that processes share.

    They belong to no file system and are gone when the last process that has them lets go. Small
    ones share a descriptor; one of more than 32 KiB has its own.

    Example:
        >>> from millpond.heap import BufferWrapper
        >>> memory = BufferWrapper(10).create_memoryview()
        >>> memory[:5] = b"hello"
        >>> bytes(memory)
        b'hello\\x00\\x00\\x00\\x00\\x00'
    """

    # In the standard library, what all of them are cut from. Programs put a fresh one there, which
    # here has no effect.
    _heap: Any = None

    def __init__(self, size: int) -> None:
        """Allocate memory.

        Args:
            size: in bytes.

        Raises:
            ValueError: the size is negative.
            OverflowError: it is more than any program can address.
            MemoryError: it is more than this machine has.
            OSError: the process has no descriptor left for it.
        """
        if size < 0:
            raise ValueError(f"Size {size:n} out of range")
        if sys.maxsize <= size:
            raise OverflowError(f"Size {size:n} too large")
        self.memory = load_engine().SharedBytes(size)

    def create_memoryview(self) -> memoryview:
        """Return a writable view of the bytes, which keeps them."""
        size = len(self.memory)
        # There is no view of nothing; of one byte there is, and every piece of memory has that.
        return view(self.memory.address, max(size, 1), self.memory)[:size]
