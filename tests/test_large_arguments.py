"""Other threads run while large arguments are copied into a pool."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import millpond

MIB = 1 << 20


@pytest.fixture(autouse=True)
def no_switches_but_voluntary_ones() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


class OtherThread(threading.Thread):
    """Counts how often it gets the GIL, which it gives away again at once."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            self.turns += 1
            time.sleep(0.0001)

    def __enter__(self) -> OtherThread:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        self.join()


@pytest.mark.parametrize("make", [bytes, bytearray, lambda n: np.zeros(n, dtype="u1")])
def test_other_threads_run_meanwhile(make: Callable[[int], Any]) -> None:
    large = make(64 * MIB)
    with millpond.get_context("fork").Pool(1) as pool, OtherThread() as other:
        pool.apply(len, (b"",))
        before = other.turns
        result = pool.apply_async(len, (large,))
        assert other.turns > before
        assert result.get() == 64 * MIB
        before = other.turns
        mapped = pool.map_async(len, [large], chunksize=1)
        assert other.turns > before
        assert mapped.get() == [64 * MIB]
    pool.join()
