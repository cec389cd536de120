"""The class of arrays in shared memory. Importing it imports NumPy."""

from __future__ import annotations

import math

from millpond._engine_loader import load_engine
from millpond._pickling.codec import view

try:
    import numpy as np
except ImportError as error:
    raise ImportError(
        f"arrays in shared memory need numpy, which cannot be imported ({error}): install it"
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._engine import SharedBytes

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["SharedArray", "np"]


class SharedArray(np.ndarray):
    """An array in shared memory, or a view of one.

    Results of computations with it are ordinary arrays, as with `numpy.memmap`.
    """

    # The shared memory that contains the whole array; None if it is in ordinary memory.
    _memory: SharedBytes | None

    @classmethod
    def allocate(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> SharedArray:
        """Return a new array of zeros."""
        if dtype.hasobject:
            raise TypeError(
                f"{dtype!r} has Python objects in it, which cannot lie in shared memory"
            )
        if any(length < 0 for length in shape):
            raise ValueError(f"negative dimensions are not allowed: {shape}")
        memory = load_engine().SharedBytes(max(math.prod(shape) * dtype.itemsize, 1))
        return cls._over(memory, 0, shape, None, dtype)

    @classmethod
    def _over(
        cls,
        memory: SharedBytes,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None,
        dtype: np.dtype[Any],
    ) -> SharedArray:
        buffer = view(memory.address, len(memory), memory)
        array = cls(shape, dtype, buffer, offset, strides)
        array._memory = memory
        return array

    def __array_finalize__(self, source: Any) -> None:
        memory = getattr(source, "_memory", None)
        self._memory = memory if memory is not None and _lies_in(self, memory) else None

    def __array_wrap__(
        self, array: Array, context: Any = None, return_scalar: bool | None = None
    ) -> Any:
        if array is self:
            # The array is the function's `out`.
            return array
        # NumPy 1 does not pass `return_scalar`: it expects a scalar for an array of no dimensions.
        if return_scalar or (return_scalar is None and array.shape == ()):
            return array[()]
        return array.view(np.ndarray)

    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        if type(item) is SharedArray and item._memory is None:
            # A copy, as of a list of indices.
            return item.view(np.ndarray)
        return item

    def __reduce_ex__(self, protocol: Any) -> Any:
        memory = self._memory
        if memory is None or not _lies_in(self, memory):
            return self.view(np.ndarray).__reduce_ex__(protocol)
        offset = _address(self) - memory.address
        return _rebuild, (
            memory, offset, self.shape, self.strides, self.dtype, self.flags.writeable
        )  # fmt: skip


def _rebuild(
    memory: SharedBytes,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
    writeable: bool,
) -> SharedArray:
    array = SharedArray._over(memory, offset, shape, strides, dtype)
    if not writeable:
        array.flags.writeable = False
    return array


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _lies_in(array: Array, memory: SharedBytes) -> bool:
    """Return whether every element is in the memory."""
    if array.size == 0:
        return False
    spans = [(length - 1) * step for length, step in zip(array.shape, array.strides, strict=True)]
    first: int = _address(array) + sum(span for span in spans if span < 0)
    last: int = _address(array) + sum(span for span in spans if span > 0) + array.itemsize
    return memory.address <= first and last <= memory.address + len(memory)
