"""Quick calls: what they leave to the ordinary methods, and that nobody can tell the two apart."""

from __future__ import annotations

import inspect
import os
import signal
from typing import Any

import pytest
from support.starting import Start

import millpond
from millpond import synchronize

KINDS = ["Lock", "RLock", "Semaphore", "BoundedSemaphore"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return getattr(synchronize, request.param)


@pytest.fixture
def primitive(kind: Any) -> Any:
    return kind()


def hold_and_die(primitive: Any) -> None:
    primitive.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def add_and_die(value: Any) -> None:
    value.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def test_signatures(kind: Any) -> None:
    names = ("acquire", "release", "__enter__", "__exit__")
    assert {name: str(inspect.signature(getattr(kind, name))) for name in names} == {
        "acquire": "(self, /, block=True, timeout=None)",
        "release": "(self, /)",
        "__enter__": "(self, /)",
        "__exit__": "(self, _type=None, _value=None, _traceback=None, /)",
    }  # fmt: skip
    assert kind.acquire.__name__ == "acquire"
    assert kind.acquire.__qualname__.endswith(".acquire")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((True,), {}),
        ((False,), {}),
        ((1,), {}),
        (([],), {}),
        ((True, None), {}),
        ((True, 1), {}),
        ((False, 0.5), {}),
        ((), {"block": True}),
        ((), {"block": False}),
        ((), {"timeout": 1.5}),
        ((True,), {"timeout": 1}),
        ((), {"timeout": None, "block": 0}),
    ],
)
def test_all_ways_to_acquire_what_is_free(primitive: Any, args: Any, kwargs: Any) -> None:
    assert primitive.acquire(*args, **kwargs) is True
    assert primitive._semlock._count() == 1
    assert primitive.release() is None
    assert primitive._semlock._get_value() == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((True, 1, 2), {}), ((), {"blocking": True}), ((True,), {"block": True}), ((True, "1"), {})],
)
def test_wrong_arguments_acquire_nothing(primitive: Any, args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError):
        primitive.acquire(*args, **kwargs)
    with pytest.raises(ValueError, match="nan"):
        primitive.acquire(True, float("nan"))
    assert primitive._semlock._get_value() == 1


def test_what_takes_no_arguments_refuses_them(primitive: Any) -> None:
    with primitive:
        with pytest.raises(TypeError, match=r"release\(\) takes no arguments"):
            primitive.release(1)
        with pytest.raises(TypeError, match=r"__enter__\(\) takes no arguments"):
            primitive.__enter__(block=False)
        with pytest.raises(TypeError):
            primitive.__exit__(None, None, None, None)
        assert primitive._semlock._get_value() == 0
    with pytest.raises(TypeError):
        type(primitive).release(object())
    with pytest.raises(TypeError):
        type(primitive).acquire()


def test_exits_with_fewer_arguments(primitive: Any) -> None:
    for arguments in ((), (None,), (ValueError, ValueError(), None)):
        assert primitive.__enter__() is True
        assert primitive.__exit__(*arguments) is None
    assert primitive._semlock._get_value() == 1


def test_truth_of_any_object_says_whether_to_block(primitive: Any) -> None:
    class Untold:
        def __bool__(self) -> bool:
            raise LookupError("told nobody")

    with pytest.raises(LookupError, match="told nobody"):
        primitive.acquire(Untold())
    assert primitive._semlock._get_value() == 1


def test_releasing_what_is_not_held() -> None:
    for refuses, error in (
        (synchronize.Lock(), ValueError),
        (synchronize.RLock(), AssertionError),
        (synchronize.BoundedSemaphore(2), ValueError),
    ):
        with pytest.raises(error):
            refuses.release()
        with pytest.raises(error):
            refuses.__exit__()
    unbounded = synchronize.Semaphore(1)
    unbounded.release()
    assert unbounded.get_value() == 2


def test_a_subclass_may_override(kind: Any) -> None:
    class Counting(kind):  # type: ignore[misc]
        acquired = 0

        def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
            self.acquired += 1
            acquired: bool = super().acquire(block, timeout)
            return acquired

        def __enter__(self) -> bool:
            return self.acquire()

    counting = Counting()
    assert counting.acquire()
    counting.release()
    with counting:
        assert counting._semlock._get_value() == 0
    assert (counting.acquired, counting._semlock._get_value()) == (2, 1)


def test_methods_are_methods(primitive: Any) -> None:
    acquire, release = primitive.acquire, primitive.release
    assert acquire.__self__ is primitive
    assert type(primitive).acquire(primitive)
    assert release() is None
    assert repr(acquire).startswith("<built-in method acquire of ")


@pytest.mark.parametrize("method", ["acquire", "__enter__"])
@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_an_owners_death_is_told_by_every_quick_call(start: Start, name: str, method: str) -> None:
    lock = getattr(synchronize, name)()
    start(hold_and_die, lock).join()
    with pytest.raises(millpond.OwnerDied):
        getattr(lock, method)()
    assert getattr(lock, method)() is True
    lock.release()


def test_permits_of_the_dead_come_back_to_quick_calls(start: Start) -> None:
    semaphore = synchronize.Semaphore(1)
    start(hold_and_die, semaphore).join()
    assert semaphore.acquire() is True
    semaphore.release()
    assert semaphore.get_value() == 1


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_integers_are_added_quickly_as_slowly(code: str) -> None:
    value: Any = millpond.Value(code, 0)
    assert value.add(100) == value.value == 100
    assert value.add(amount=-101) == value.value
    # More than any number has bits, and less than none.
    value.value = 1
    assert value.add(2**64) == value.value == 1
    assert value.add(-(2**64) + 1) == value.value == 2
    assert value.add(True) == 3
    with pytest.raises(TypeError):
        value.add("1")
    with pytest.raises(TypeError):
        value.add(1.5)
    with pytest.raises(TypeError):
        value.add()
    with pytest.raises(TypeError):
        value.add(1, 2)
    assert value.value == 3
    assert value.get_lock()._semlock._get_value() == 1


@pytest.mark.parametrize("code", "fd")
def test_floats_are_added_quickly_as_slowly(code: str) -> None:
    value: Any = millpond.Value(code, 0.5)
    assert value.add(0.25) == value.value == 0.75
    assert value.add(1) == 1.75
    assert value.add(amount=True) == 2.75
    with pytest.raises(TypeError):
        value.add("1")
    with pytest.raises(OverflowError):
        value.add(10**400)
    assert value.value == 2.75
    assert str(inspect.signature(type(value).add)) == "(self, /, amount)"


def test_elements_are_added_to_quickly_as_slowly() -> None:
    array: Any = millpond.Array("h", [1, 2, 3])
    assert (array.add(0, 10), array.add(-1, 10), array.add(index=1, amount=10)) == (11, 13, 12)
    assert (array.add(True, 1), array.add(2, 2**16)) == (13, 13)
    for index in (3, -4, 2**70):
        with pytest.raises((IndexError, OverflowError)):
            array.add(index, 1)
    for wrong in ((0,), (0, 1, 2), (0, "1"), (0.0, 1)):
        with pytest.raises(TypeError):
            array.add(*wrong)
    assert array[:] == [11, 13, 13]
    floats: Any = millpond.Array("d", 2)
    assert (floats.add(1, 0.5), floats.add(1, 1), floats[:]) == (0.5, 1.5, [0.0, 1.5])
    assert str(inspect.signature(type(floats).add)) == "(self, /, index, amount)"


def add_often(value: Any, times: int) -> None:
    for _ in range(times):
        value.add(1)


def test_additions_of_two_processes_and_this_one_are_all_there(start: Start) -> None:
    value: Any = millpond.Value("q", 0)
    others = [start(add_often, value, 20_000) for _ in range(2)]
    for _ in range(2_000):
        value.add(1)
        with value.get_lock():
            value.value += 1
    for other in others:
        other.join()
    assert value.value == 44_000


def test_an_addition_while_the_lock_is_held_here() -> None:
    value: Any = millpond.Value("q", 5)
    with value.get_lock():
        assert value.add(1) == 6
        assert value.get_lock()._semlock._count() == 1


def test_an_addition_after_the_owners_death(start: Start) -> None:
    value: Any = millpond.Value("i", 5)
    start(add_and_die, value).join()
    with pytest.raises(millpond.OwnerDied):
        value.add(1)
    assert value.add(1) == 6
