"""Arguments, results and exceptions that cannot travel fail their own task, with the reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing.pool import (  # type: ignore[attr-defined]
    MaybeEncodingError,
    RemoteTraceback,
)
from typing import Any

import pytest
from faulty_tasks import (
    Undumpable,
    Unloadable,
    double,
    identity,
    make_lock,
    make_unloadable,
    raise_holds_lock,
    raise_local,
    raise_needs_two,
)

import millpond
from millpond.pool import Pool


@pytest.fixture
def pool(make_pool: Callable[..., Pool]) -> Pool:
    return make_pool(2)


@pytest.fixture(params=["apply", "apply_async", "map", "imap", "imap_unordered"])
def call(request: pytest.FixtureRequest, pool: Pool) -> Callable[[Callable[..., Any], Any], Any]:
    """Call a function of one argument by one of the pool's methods."""

    def call(function: Callable[..., Any], argument: Any) -> Any:
        match request.param:
            case "apply":
                return pool.apply(function, (argument,))
            case "apply_async":
                return pool.apply_async(function, (argument,)).get()
            case "map":
                return pool.map(function, [argument])
            case method:
                return list(getattr(pool, method)(function, [argument]))

    return call


Call = Callable[[Callable[..., Any], Any], Any]


def assert_goes_on(pool: Pool) -> None:
    assert pool.map(double, range(20), chunksize=1) == [double(n) for n in range(20)]


def test_argument_that_refuses_to_be_pickled(pool: Pool, call: Call) -> None:
    with pytest.raises(RuntimeError, match="refuses to be pickled"):
        call(identity, Undumpable())
    assert_goes_on(pool)


def test_argument_of_a_kind_that_cannot_be_pickled(pool: Pool, call: Call) -> None:
    with pytest.raises(TypeError, match="lock"):
        call(identity, threading.Lock())
    assert_goes_on(pool)


def test_argument_that_does_not_unpickle(pool: Pool, call: Call) -> None:
    with pytest.raises(Exception, match="refuses to load: as an argument"):
        call(identity, Unloadable("as an argument"))
    assert_goes_on(pool)


def test_result_that_does_not_pickle(pool: Pool, call: Call) -> None:
    with pytest.raises(millpond.MaybeEncodingError, match="lock") as caught:
        call(make_lock, None)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert_goes_on(pool)


def test_result_that_does_not_unpickle(pool: Pool, call: Call) -> None:
    with pytest.raises(Exception, match="refuses to load: as a result"):
        call(make_unloadable, "as a result")
    assert_goes_on(pool)


def test_exception_that_does_not_pickle(pool: Pool, call: Call) -> None:
    with pytest.raises(millpond.RemoteTaskError) as caught:
        call(raise_holds_lock, None)
    text = str(caught.value)
    assert "HoldsLock" in text and "stuck in the lock" in text
    assert "in raise_holds_lock" in text + str(caught.value.__cause__)
    assert_goes_on(pool)


def test_exception_that_does_not_unpickle(pool: Pool, call: Call) -> None:
    with pytest.raises(millpond.RemoteTaskError) as caught:
        call(raise_needs_two, None)
    text = str(caught.value)
    assert "NeedsTwoArguments" in text and "leak in the boat" in text
    assert "in raise_needs_two" in text + str(caught.value.__cause__)
    assert_goes_on(pool)


def test_exception_of_a_local_class(pool: Pool, call: Call) -> None:
    with pytest.raises(Exception, match="nobody knows me"):
        call(raise_local, None)
    assert_goes_on(pool)


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_the_neighbours_of_a_bad_argument_are_served(pool: Pool, method: str) -> None:
    results = getattr(pool, method)(identity, [1, Undumpable(), Unloadable("among others"), 4])
    values, failures = [], []
    while True:
        try:
            values.append(next(results))
        except StopIteration:
            break
        except Exception as error:
            failures.append(str(error))
    assert sorted(values) == [1, 4]
    assert len(failures) == 2
    assert any("refuses to be pickled" in failure for failure in failures)
    assert any("refuses to load: among others" in failure for failure in failures)


@pytest.mark.parametrize("method", ["apply_async", "map_async", "starmap_async"])
def test_bad_arguments_reach_whoever_asks_for_the_result(pool: Pool, method: str) -> None:
    failures: list[BaseException] = []
    begin = getattr(pool, method)
    arguments = [(Undumpable(),)] if method == "starmap_async" else [Undumpable()]
    result = begin(identity, arguments, error_callback=failures.append)
    with pytest.raises(RuntimeError, match="refuses to be pickled"):
        result.get()
    pool.close()
    pool.join()
    assert len(failures) == 1


@pytest.mark.parametrize("task", [make_lock, raise_holds_lock, raise_needs_two])
def test_error_callback_gets_it(pool: Pool, task: Callable[..., Any]) -> None:
    values: list[object] = []
    failures: list[BaseException] = []
    pool.apply_async(task, (None,), {}, values.append, failures.append).wait()
    pool.close()
    pool.join()
    assert values == []
    assert len(failures) == 1


def test_the_encoding_error_is_the_one_that_programs_catch() -> None:
    assert millpond.MaybeEncodingError is MaybeEncodingError
    assert issubclass(millpond.RemoteTaskError, millpond.ProcessError)
