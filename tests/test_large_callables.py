"""How often a callable with much in it is pickled, and unpickled.

That the results are right is compared with the standard library:
`differential/cases/01_functions_with_state.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

import millpond


class Large:
    """Counts how often its state is taken, and in workers how often it is made of one."""

    pickled = 0
    unpickled = 0

    def __init__(self, size: int) -> None:
        self.data = bytes(size)
        self.nodes = [[n] for n in range(4)]

    def __getstate__(self) -> dict[str, Any]:
        Large.pickled += 1
        return vars(self).copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        Large.unpickled += 1
        vars(self).update(state)

    def count(self, _: object) -> int:
        return Large.unpickled

    def place(self, node: list[int]) -> int:
        return [node is known for known in self.nodes].index(True)


@pytest.mark.parametrize("method", ["map", "imap"])
def test_a_large_one_is_sent_once_and_unpickled_for_each_chunk(method: str) -> None:
    large = Large(2 << 20)
    with millpond.get_context("fork").Pool(1) as pool:
        Large.pickled = 0
        assert list(getattr(pool, method)(large.count, range(8), 2)) == [1, 1, 2, 2, 3, 3, 4, 4]
        assert Large.pickled == 1
    pool.join()


@pytest.mark.parametrize("method", ["map", "imap"])
def test_one_that_shares_something_with_the_items_is_sent_with_each_chunk(method: str) -> None:
    large = Large(2 << 20)
    with millpond.get_context("fork").Pool(1) as pool:
        Large.pickled = 0
        assert list(getattr(pool, method)(large.place, large.nodes, 1)) == [0, 1, 2, 3]
        assert Large.pickled >= 4
    pool.join()
