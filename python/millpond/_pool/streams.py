"""Random numbers of a pool's own: each item of a seeded pool has a stream by its number.

The stream of an item depends on the pool's seed, on the number of the call among those of the pool,
and on the number of the item in its call: not on the worker, the chunk, or what ran before. When an
item begins, `random` and, if it was imported, NumPy's global generator are seeded from it.
"""

from __future__ import annotations

import random
import sys
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import numpy

__all__ = ["begin", "end", "items", "rng"]

_entropy: int | None = None
"""What the streams of the item that runs are made of; None if it has none."""
_generator: Any = None
"""That of `rng`, once it was asked for."""


def begin(seed: int, call: int, item: int) -> None:
    """Begin the streams of an item.

    Args:
        seed: the pool's.
        call: which call of the pool, from 0.
        item: which item of the call, from 0.
    """
    global _entropy, _generator
    digest = sha256(f"millpond {seed} {call} {item}".encode()).digest()
    _entropy, _generator = int.from_bytes(digest[:16]), None
    random.seed(_entropy)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        words = [int.from_bytes(digest[at : at + 4]) for at in range(16, 32, 4)]
        numpy_random.seed(words)


def end() -> None:
    """Have no item run here: this process was forked by one that did."""
    global _entropy, _generator
    _entropy = _generator = None


def items(seed: int, numbered: Iterable[tuple[int, int, Any]]) -> Iterator[Any]:
    """Yield items, each when its streams have begun.

    Args:
        seed: the pool's.
        numbered: the items, each after the numbers of its call and of itself.
    """
    for call, number, item in numbered:
        begin(seed, call, number)
        yield item


def rng() -> numpy.random.Generator:
    """Return NumPy's generator of the item that runs, in a worker of a pool with a `seed`.

    It is the same one until the item has ended.

    Raises:
        RuntimeError: this is no worker of a pool with a seed, or it has not begun an item.
        ImportError: NumPy is not installed.

    Example:
        >>> import millpond
        >>> def draw(_):
        ...     return int(millpond.rng().integers(1000))
        >>> with millpond.Pool(2, seed=1) as pool:
        ...     drawn = pool.map(draw, range(4), chunksize=1)
        >>> with millpond.Pool(1, seed=1) as pool:
        ...     drawn == pool.map(draw, range(4), chunksize=3)
        True
    """
    global _generator
    if _entropy is None:
        raise RuntimeError("no item of a pool with a seed runs here; see millpond.Pool(seed=...)")
    if _generator is None:
        from numpy import random as numpy_random

        _generator = numpy_random.default_rng(_entropy)
    generator: numpy.random.Generator = _generator
    return generator
