"""Ctrl-C while a call is being submitted leaves nothing behind that `join` would wait for."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from typing import Any, NoReturn

import pytest


class InterruptsPickling:
    """Stands for a Ctrl-C that comes while the arguments are pickled."""

    def __reduce__(self) -> NoReturn:
        raise KeyboardInterrupt


@pytest.mark.parametrize("callback", [None, repr])
def test_map_whose_items_are_not_all_sent(
    make_pool: Callable[..., Pool], callback: Callable[[Any], object] | None
) -> None:
    pool = make_pool(2)
    items: list[Any] = [1, InterruptsPickling()]
    with pytest.raises(KeyboardInterrupt):
        pool.map_async(abs, items, 1, callback)
    assert pool.map(abs, [-1, -2]) == [1, 2]
    pool.close()
    pool.join()


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_whose_items_are_not_all_sent(make_pool: Callable[..., Pool], method: str) -> None:
    pool = make_pool(2)
    with pytest.raises(KeyboardInterrupt):
        getattr(pool, method)(abs, [1, InterruptsPickling()])
    assert pool.map(abs, [-1, -2]) == [1, 2]
    pool.close()
    pool.join()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, LookupError])
def test_what_the_input_raises_comes_behind_its_items(
    make_pool: Callable[..., Pool], error: type[BaseException]
) -> None:
    def items() -> Iterator[int]:
        yield -1
        raise error

    pool = make_pool(2)
    results = pool.imap(abs, items())
    assert next(results) == 1
    with pytest.raises(error):
        next(results)
    assert list(results) == []
    pool.close()
    pool.join()


def test_iterators_over_endless_input_that_are_dropped(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(2)
    results = pool.imap(abs, itertools.count())
    assert next(results) == 0
    dropped = weakref.ref(results)
    del results
    gc.collect()
    assert dropped() is None
    pool.close()
    pool.join()


def test_what_could_not_be_sent_is_forgotten_with_its_result(
    make_pool: Callable[..., Pool],
) -> None:
    class Local:
        def __reduce__(self) -> NoReturn:
            raise ValueError("stays here")

    pool = make_pool(1)
    argument = Local()
    gone = weakref.ref(argument)
    pool.apply_async(abs, (argument,))
    del argument
    gc.collect()
    assert gone() is None
