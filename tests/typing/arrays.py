"""Types of arrays in shared memory."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import millpond


def new_arrays(code: str) -> None:
    assert_type(millpond.shared_array(10), NDArray[np.float64])
    assert_type(millpond.shared_array((3, 4), fill=1.5), NDArray[np.float64])
    assert_type(millpond.shared_array(10, np.int32), NDArray[np.int32])
    assert_type(millpond.shared_array([2, 2], np.dtype(np.uint8), fill=7), NDArray[np.uint8])
    assert_type(millpond.shared_array(np.int64(3), code), NDArray[Any])


def copies(pixels: NDArray[np.uint8]) -> None:
    assert_type(millpond.shared_array_from(pixels), NDArray[np.uint8])
    assert_type(millpond.shared_array_from([[1, 2], [3, 4]]), NDArray[Any])


def used(values: NDArray[np.float64]) -> None:
    shared = millpond.shared_array_from(values)
    shared[...] = values + 1
    assert_type(shared.shape, tuple[Any, ...])
