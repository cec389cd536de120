"""Bad input gets the stdlib's exception types, at once and with a message that helps."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from faulty_tasks import double
from gate import Gate

import millpond
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]

METHODS: dict[str, tuple[Any, ...]] = {
    "apply": (double, (1,)),
    "apply_async": (double, (1,)),
    "map": (double, [1]),
    "map_async": (double, [1]),
    "starmap": (double, [(1,)]),
    "starmap_async": (double, [(1,)]),
    "imap": (double, [1]),
    "imap_unordered": (double, [1]),
}


def outcome(called: Any) -> Any:
    """Wait for whatever a method of a pool gave back."""
    if hasattr(called, "get"):
        return called.get()
    if isinstance(called, Iterator):
        return list(called)
    return called


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"processes": 0}, ValueError, "at least 1"),
        ({"processes": -1}, ValueError, "at least 1"),
        ({"processes": 16_385}, ValueError, "at most 16384, not 16385"),
        ({"processes": 10**6}, ValueError, "1000000|1_000_000|1,000,000"),
        ({"processes": 10**30}, (ValueError, OverflowError), None),
        ({"processes": 1.5}, (TypeError, ValueError), None),
        ({"processes": "2"}, TypeError, None),
        ({"processes": 2, "initializer": "setup"}, TypeError, "callable"),
        ({"processes": 2, "maxtasksperchild": 0}, ValueError, "maxtasksperchild"),
        ({"processes": 2, "maxtasksperchild": -1}, ValueError, "maxtasksperchild"),
        ({"processes": 2, "maxtasksperchild": 1.5}, ValueError, "maxtasksperchild"),
        ({"procs": 2}, TypeError, "procs"),
    ],
)
def test_pool_options(
    make_pool: PoolMaker,
    options: dict[str, Any],
    error: type[Exception] | tuple[type[Exception], ...],
    match: str | None,
) -> None:
    with pytest.raises(error, match=match):
        make_pool(**options)


def test_unknown_start_method() -> None:
    with pytest.raises(ValueError, match="teleport"):
        millpond.get_context("teleport")


@pytest.mark.parametrize("method", METHODS)
def test_function_that_cannot_be_called(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(1)
    for arguments in (METHODS[method][1], ()):
        with pytest.raises(TypeError, match="callable"):
            getattr(pool, method)(42, arguments)
    assert pool.apply(double, (1,)) == 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", ["close", "terminate"])
def test_pool_that_has_ended(make_pool: PoolMaker, method: str, end: str) -> None:
    pool = make_pool(1)
    getattr(pool, end)()
    with pytest.raises(ValueError, match="Pool not running"):
        outcome(getattr(pool, method)(*METHODS[method]))


def test_join_of_a_running_pool(make_pool: PoolMaker) -> None:
    with pytest.raises(ValueError, match="still running"):
        make_pool(1).join()


@pytest.mark.parametrize("method", ["map", "map_async", "imap", "imap_unordered"])
@pytest.mark.parametrize("size", [0, -1])
def test_chunk_size_below_one(make_pool: PoolMaker, method: str, size: int) -> None:
    pool = make_pool(1)
    with pytest.raises(ValueError, match=rf"(?i)chunk_?size.*{size}"):
        outcome(getattr(pool, method)(double, [1, 2, 3], chunksize=size))
    assert pool.map(double, [1, 2]) == [2, 4]


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered"])
def test_chunk_size_that_is_no_number(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(1)
    with pytest.raises(TypeError):
        outcome(getattr(pool, method)(double, [1, 2, 3], chunksize="two"))
    assert pool.map(double, [1, 2]) == [2, 4]


@pytest.mark.parametrize("method", ["map", "map_async", "starmap", "starmap_async"])
def test_inputs_that_cannot_be_iterated(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(1)
    with pytest.raises(TypeError, match="not iterable"):
        getattr(pool, method)(double, 5)
    assert pool.apply(double, (1,)) == 2


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_input_of_imap_that_cannot_be_iterated(make_pool: PoolMaker, method: str) -> None:
    """It says so in the place of the first result, as the standard library's."""
    pool = make_pool(1)
    results = getattr(pool, method)(double, 5)
    with pytest.raises(TypeError, match="not iterable"):
        next(results)
    assert pool.apply(double, (1,)) == 2


@pytest.mark.parametrize("method", ["apply", "apply_async"])
def test_arguments_that_cannot_be_iterated(make_pool: PoolMaker, method: str) -> None:
    pool = make_pool(1)
    with pytest.raises(TypeError, match="not iterable"):
        getattr(pool, method)(double, 5)
    assert pool.apply(double, (1,)) == 2


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered"])
def test_inputs_that_fail_midway(make_pool: PoolMaker, method: str) -> None:
    error = LookupError("ran dry", threading.Lock())  # it could not be sent

    def inputs() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    pool = make_pool(1)
    with pytest.raises(LookupError, match="ran dry") as caught:
        outcome(getattr(pool, method)(double, inputs()))
    assert caught.value is error
    assert pool.apply(double, (1,)) == 2


def double_unless_three(n: int) -> int:
    if n == 3:
        raise LookupError("no three")
    return double(n)


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_a_failure_in_a_chunk_takes_its_place(make_pool: PoolMaker, method: str) -> None:
    results = getattr(make_pool(1), method)(double_unless_three, range(8), chunksize=2)
    assert [next(results), next(results)] == [0, 2]
    with pytest.raises(LookupError, match="no three"):
        next(results)
    assert list(results) == [8, 10, 12, 14]


@pytest.mark.parametrize("method", ["map", "starmap", "imap", "imap_unordered"])
def test_no_inputs(make_pool: PoolMaker, method: str) -> None:
    assert outcome(getattr(make_pool(1), method)(double, [])) == []


@pytest.mark.parametrize("item", [5, None, 1.5])
def test_an_item_of_starmap_that_is_no_arguments(make_pool: PoolMaker, item: Any) -> None:
    with pytest.raises(TypeError) as ours:
        make_pool(1).starmap(double, [item])
    with pytest.raises(TypeError) as theirs:
        list(itertools.starmap(double, [item]))
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_timeouts(make_pool: PoolMaker, gate: Gate, timeout: float) -> None:
    pool = make_pool(1)
    result = pool.apply_async(gate.hold)
    with pytest.raises(millpond.TimeoutError):
        result.get(timeout=timeout)
    with pytest.raises(millpond.TimeoutError):
        pool.imap(double, [1]).next(timeout=timeout)
    result.wait(timeout=timeout)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    gate.open()
    assert result.get(timeout=None) == gate.arrivals()[0]
    assert result.get(timeout=0) == gate.arrivals()[0]


def test_timeout_that_is_no_number(make_pool: PoolMaker, gate: Gate) -> None:
    result: Any = make_pool(1).apply_async(gate.hold)
    with pytest.raises(TypeError):
        result.get(timeout="soon")


def test_timeouts_that_are_nan(make_pool: PoolMaker, gate: Gate) -> None:
    pool, nan = make_pool(1), float("nan")
    results = [pool.apply_async(gate.hold), pool.apply_async(double, (1,), callback=id)]
    waits = [wait for result in results for wait in (result.get, result.wait)]
    for wait in [*waits, pool.imap(double, [1]).next, pool._pool[0].join]:
        with pytest.raises(ValueError, match="nan"):
            wait(timeout=nan)
    gate.open()
    assert results[1].get() == 2
    # What is there is returned without a wait.
    assert results[1].get(timeout=nan) == 2


def test_wrong_arguments_fail_their_task(make_pool: PoolMaker) -> None:
    pool = make_pool(1)
    with pytest.raises(TypeError, match="double"):
        pool.apply(double, (1, 2, 3))
    assert pool.apply(double, (1,)) == 2


def test_a_pool_is_not_pickled(make_pool: PoolMaker) -> None:
    with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
        pickle.dumps(make_pool(1))


def test_callback_that_raises_does_not_stop_the_others(
    make_pool: PoolMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def fail(_: object) -> None:
        raise LookupError("callback failed")

    values: list[int] = []
    pool = make_pool(1)
    pool.apply_async(double, (1,), callback=fail)
    pool.apply_async(double, (2,), callback=values.append)
    pool.close()
    pool.join()
    assert values == [4]
    assert [str(report.exc_value) for report in reported] == ["callback failed"]


def test_a_context_of_other_processes_has_the_standard_pool() -> None:
    class Refusing:
        name = "Process"
        exitcode = None

        def __init__(self, **_: Any) -> None:
            pass

        def start(self) -> None:
            raise OSError("refused by the context's own process")

    with pytest.raises(OSError, match="refused by the context's own process"):
        Pool(1, context=MagicMock(Process=Refusing))
