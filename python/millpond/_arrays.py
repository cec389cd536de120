"""Arrays of numpy in shared memory, which processes pass to each other without a copy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np

__all__ = ["shared_array", "shared_array_from"]


def shared_array(
    shape: int | Sequence[int], dtype: Any = float, *, fill: Any = None
) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an array in anonymous shared memory.

    Processes pass it to each other without a copy: as an argument of a `Process`, as an argument or
    result of a pool's task, as an item of a queue or a message of a pipe, by itself or inside of
    something else. All see each other's changes at once; a lock is theirs to have. The memory is
    gone when the last process that has it lets go.

    Views of it (slices, transposes, reshapes, fields) travel as views of the same memory. Copies
    (`a.copy()`, `a + 1`, `a[[1, 2]]`) are ordinary arrays and travel as such, and so does
    `numpy.asarray(a)`. Who sends it in a queue or through a pipe has to live until the receiver has
    it; a child that ends by itself waits up to five seconds for that. The results of a pool's tasks
    may be fetched at any time. What was received stays valid whoever dies.

    Args:
        shape: how many elements, in each dimension: one number or several, none negative.
        dtype: their type; anything but Python objects.
        fill: what all of them are at first; 0 by default, which costs nothing.

    Raises:
        ImportError: numpy is not installed.
        ValueError: a dimension is negative.
        TypeError: the type has Python objects in it.
        MemoryError: the array is larger than this machine's memory.
        OSError: the process has no descriptor left; an array of more than 32 KiB needs one.

    Example:
        >>> import millpond
        >>> def count(squares, start):
        ...     for i in range(start, len(squares), 2):
        ...         squares[i] = i * i
        >>> squares = millpond.shared_array(6, int)  # 6 integers, all 0
        >>> context = millpond.get_context("fork")
        >>> workers = [context.Process(target=count, args=(squares, n)) for n in range(2)]
        >>> for worker in workers:
        ...     worker.start()
        >>> for worker in workers:
        ...     worker.join()
        >>> squares.tolist()
        [0, 1, 4, 9, 16, 25]
    """
    from millpond._shared_ndarray import SharedArray, np

    lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    array = SharedArray.allocate(tuple(map(int, lengths)), np.dtype(dtype))
    if fill is not None:
        array[...] = fill
    return array


def shared_array_from(array: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a copy, in anonymous shared memory, of an array or of what numpy makes one of.

    See `shared_array` for what can be done with it, and what is raised.

    Example:
        >>> import millpond
        >>> millpond.shared_array_from([[1, 2], [3, 4]]).sum(axis=0).tolist()
        [4, 6]
    """
    from millpond._shared_ndarray import SharedArray, np

    source = np.asarray(array)
    copy = SharedArray.allocate(source.shape, source.dtype)
    copy[...] = source
    return copy
