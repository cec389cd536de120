"""NumPy arrays in shared memory, which are passed between processes without a copy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias, TypeVar, overload

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    ScalarT = TypeVar("ScalarT", bound=np.generic)
    Shape: TypeAlias = int | np.integer[Any] | Sequence[int]

__all__ = ["shared_array", "shared_array_from"]


if TYPE_CHECKING:

    @overload
    def shared_array(
        shape: Shape, dtype: type[ScalarT] | np.dtype[ScalarT], *, fill: Any = None
    ) -> NDArray[ScalarT]: ...
    @overload
    def shared_array(
        shape: Shape, dtype: type[float] = float, *, fill: Any = None
    ) -> NDArray[np.float64]: ...
    @overload
    def shared_array(shape: Shape, dtype: DTypeLike, *, fill: Any = None) -> NDArray[Any]: ...


def shared_array(shape: Shape, dtype: Any = float, *, fill: Any = None) -> NDArray[Any]:
    """Return an array in anonymous shared memory.

    It is passed between processes without a copy: as an argument of a `Process`, as an argument or
    result of a pool's task, as an item of a queue or a message of a pipe, by itself or inside of
    another object. Changes are visible to all processes immediately; synchronise access yourself.
    The memory is freed when no process refers to it any more.

    Views of it (slices, transposes, reshapes, fields) are sent as views of the same memory. Copies
    (`a.copy()`, `a + 1`, `a[[1, 2]]`) and `numpy.asarray(a)` are ordinary arrays and are sent by
    value. A process that sends an array in a queue or through a pipe has to live until the receiver
    has it; a child that ends normally waits up to five seconds for that. Results of a pool's tasks
    can be fetched at any time. A received array stays valid whichever process dies.

    Args:
        shape: the number of elements, or of the elements in each dimension.
        dtype: the type of the elements, which must not contain Python objects.
        fill: the initial value of all elements; by default 0, which costs nothing.

    Raises:
        ImportError: NumPy is not installed.
        ValueError: a dimension is negative.
        TypeError: the type contains Python objects.
        MemoryError: the array is larger than this machine's memory.
        OSError: no descriptor is left; an array of more than 32 KiB needs one.

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


if TYPE_CHECKING:

    @overload
    def shared_array_from(array: NDArray[ScalarT]) -> NDArray[ScalarT]: ...
    @overload
    def shared_array_from(array: ArrayLike) -> NDArray[Any]: ...


def shared_array_from(array: ArrayLike) -> NDArray[Any]:
    """Return a copy, in anonymous shared memory, of an array or of anything that NumPy converts.

    See `shared_array` for its use, and for what is raised.

    Args:
        array: an array, or nested sequences of numbers, as for `numpy.asarray`.

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
