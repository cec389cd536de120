"""The options of calls: names, values, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import millpond

REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": -1}, ValueError, "timeout must be at least 0 seconds, not -1"),
    ({"timeout": 0}, ValueError, "timeout must be more than 0 seconds, or None"),
    ({"timeout": float("nan")}, ValueError, "timeout must be at least 0 seconds, not nan"),
    ({"timeout": "3"}, TypeError, "timeout must be a number of seconds, not '3'"),
    ({"timeout": True}, TypeError, "timeout must be a number of seconds, not True"),
    ({"grace": None}, TypeError, "grace must be a number of seconds, not None"),
    ({"retries": -1}, ValueError, "retries must be at least 0, not -1"),
    ({"retries": 1.5}, TypeError, "retries must be an int, not 1.5"),
    ({"retry_on": "death"}, TypeError, "retry_on must be a class of exceptions or several"),
    ({"retry_delay": -0.1}, ValueError, "retry_delay must be at least 0 seconds, not -0.1"),
    ({"on_error": "ignore"}, ValueError, "on_error must be 'raise', 'return', 'skip' or None"),
    ({"return_exceptions": 1}, TypeError, "return_exceptions must be True or False, not 1"),
    ({"priority": 2**31}, ValueError, "priority must be a 32-bit integer"),
    ({"priority": 0.5}, TypeError, "priority must be an int, not 0.5"),
    (
        {"return_exceptions": True, "on_error": "skip"},
        ValueError,
        "return_exceptions=True is on_error='return': give one of them",
    ),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_wrong_values_are_refused_by_name(
    options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with millpond.Pool(1) as pool, pytest.raises(kind) as refused:
        pool.options(**options)
    assert text in str(refused.value)
    for make in (millpond.Pool, millpond.ProcessPoolExecutor, millpond.get_context("spawn").Pool):
        with pytest.raises(kind) as refused:
            make(1, **options)
        assert text in str(refused.value)


def test_unknown_names_are_refused() -> None:
    with (
        millpond.Pool(1) as pool,
        pytest.raises(TypeError, match=r"unexpected keyword .*'tiemout'"),
    ):
        pool.options(tiemout=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Pool\(\) got an unexpected keyword argument 'tiemout'"):
        millpond.Pool(1, tiemout=3)  # type: ignore[call-arg]


def test_threads_refuse_them_by_name() -> None:
    from millpond import dummy

    make: Any = dummy.Pool
    for option in ("timeout", "grace", "retries", "retry_on", "on_error", "priority"):
        with pytest.raises(TypeError, match=option):
            make(1, **{option: 1})


def test_views_add_to_what_they_are_views_of() -> None:
    with millpond.Pool(2, priority=1) as pool:
        view = pool.options(retries=2).options(on_error="return", priority=3)
        assert repr(view) == f"<{pool!r}.options(retries=2, on_error='return', priority=3)>"
        assert repr(view.options(retries=0, on_error=None)) == f"<{pool!r}.options(priority=3)>"
        assert view.stats() == pool.stats()
        view.close()
        view.join()
        with pytest.raises(ValueError, match="Pool not running"):
            view.apply(abs, (1,))


def test_a_view_has_every_way_into_the_pool() -> None:
    with millpond.Pool(2) as pool:
        view = pool.options(priority=1)
        assert view.apply(pow, (2, 3)) == view.apply_async(pow, (2, 3)).get() == 8
        assert view.map(abs, [-1, 2]) == view.map_async(abs, [-1, 2]).get() == [1, 2]
        assert view.starmap(pow, [(2, 3)]) == view.starmap_async(pow, [(2, 3)]).get() == [8]
        assert list(view.imap(abs, [-1, 2])) == sorted(view.imap_unordered(abs, [-1, 2])) == [1, 2]
    with millpond.ProcessPoolExecutor(2) as executor:
        of_executor = executor.options(priority=1)
        assert of_executor.submit(pow, 2, 3).result() == 8
        assert list(of_executor.map(abs, [-1, 2])) == [1, 2]


def named(**kwargs: int) -> dict[str, int]:
    return kwargs


def test_keywords_of_any_name_reach_a_call_that_is_tried_again() -> None:
    keywords = {"self": 1, "function": 2}
    with millpond.Pool(1, retries=1, retry_on=ValueError) as pool:
        assert pool.apply(named, kwds=keywords) == keywords
    with millpond.ProcessPoolExecutor(1, retries=1, retry_on=ValueError) as executor:
        assert executor.submit(named, **keywords).result() == keywords


def public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def test_views_have_all_public_methods() -> None:
    with millpond.Pool(1) as pool:
        # `Process` is for subclasses, which make workers by it.
        assert public(pool) - public(pool.options(priority=1)) == {"Process"}
    executor = millpond.ProcessPoolExecutor(1)
    view = executor.options(priority=1)
    assert public(executor) == public(view)
    view.resize((1, 2))
    assert view.submit(abs, -1).result() == 1
    assert view.stats().tasks == executor.stats().tasks == 1
    view.terminate_workers()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    with millpond.ProcessPoolExecutor(1) as executor:
        executor.options().kill_workers()
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(abs, -1)


def test_an_executor_that_breaks_retries_nothing_after_a_death() -> None:
    with pytest.raises(ValueError, match=r"retries: with break_on_crash=True the death"):
        millpond.ProcessPoolExecutor(1, break_on_crash=True, retries=1)
    with millpond.ProcessPoolExecutor(1, break_on_crash=True) as executor:
        with pytest.raises(ValueError, match=r"retries: with break_on_crash=True the death"):
            executor.options(priority=1).options(retries=1)
        view = executor.options(retries=1, retry_on=(millpond.WorkerCrashed, OSError))
        assert view.submit(abs, -1).result() == 1
