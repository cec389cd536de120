"""Which thread unpickles a result, and what becomes of the result meanwhile."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.processes import wait_until

import millpond
from millpond.pool import Pool

LONG = 60
"""Seconds, for waits that end long before."""


class Gate:
    """Where unpickling in this process waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.threads: list[threading.Thread] = []


GATES: dict[str, Gate] = {}
signals: list[int] = []
unpickled: Counter[object] = Counter()


class Held:
    """What waits for its gate while it is unpickled."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        gate = GATES[self.name]
        gate.threads.append(threading.current_thread())
        gate.reached.set()
        assert gate.opened.wait(LONG)


class Signals:
    """What has its process get a signal while it is unpickled, if the test wants one."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        unpickled[self.name] += 1
        if signals:
            signal.raise_signal(signals.pop())


class Raises:
    def __reduce__(self) -> Any:
        return refuse, ()


def refuse() -> None:
    unpickled["refused"] += 1
    raise LookupError("it does not unpickle")


def make_held(name: str) -> Held:
    return Held(name)


def make_signals(name: object) -> Signals:
    return Signals(name)


def make_raises() -> Raises:
    return Raises()


def hold(directory: Path) -> str:
    (directory / "begun").touch()
    while not (directory / "open").exists():
        time.sleep(0.002)
    return directory.name


@pytest.fixture
def gate() -> Iterator[Gate]:
    GATES["gate"] = gate = Gate()
    yield gate
    gate.opened.set()
    GATES.clear()


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with millpond.get_context("fork").Pool(1) as pool:
        yield pool
    request.node.funcargs.clear()


Call = Callable[[Callable[[Any], Any], Any], Any]


@pytest.fixture(params=["apply_async", "map_async", "submit"])
def call(request: pytest.FixtureRequest) -> Iterator[Call]:
    context = millpond.get_context("fork")
    if request.param == "submit":
        with millpond.ProcessPoolExecutor(1, context) as executor:
            yield executor.submit
    else:
        with context.Pool(1) as pool:
            if request.param == "map_async":
                yield lambda function, argument: pool.map_async(function, [argument])
            else:
                yield lambda function, argument: pool.apply_async(function, (argument,))
    request.node.funcargs.clear()


def name_of(value: Any) -> Any:
    return value[0].name if isinstance(value, list) else value.name


def in_a_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(action()), daemon=True)
    thread.start()
    return thread, answers


# Cancelling.


@pytest.mark.parametrize("how", ["direct", "published"])
def test_cancelling_what_is_being_unpickled(call: Call, gate: Gate, how: str) -> None:
    result = call(make_held, "gate")
    if how == "published":
        result.add_done_callback(lambda _: None)
    thread, answers = in_a_thread(result.result)
    assert gate.reached.wait(LONG)
    # The answers come at once, though the result does not.
    assert not result.cancel() and not result.cancelled() and not result.running()
    assert not result.done()
    gate.opened.set()
    thread.join()
    assert [name_of(answer) for answer in answers] == ["gate"]
    assert result.done() and not result.cancel() and not result.cancelled()


@pytest.mark.parametrize("how", ["direct", "published"])
def test_cancelling_what_is_over_and_not_unpickled(
    pool: Pool, gate: Gate, how: str, tmp_path: Path
) -> None:
    busy = pool.apply_async(make_held, ("gate",), callback=lambda _: None)
    assert gate.reached.wait(LONG)
    pool.apply_async(hold, (tmp_path,))
    results: list[Any] = [
        pool.apply_async(make_signals, (1,)),
        pool.map_async(make_signals, [2, 3]),
        pool.apply_async(abs, (-4,)),
        pool.map_async(abs, [-5, -6]),
    ]
    if how == "published":
        for result in results:
            result.add_done_callback(lambda _: None)
    (tmp_path / "open").touch()
    assert wait_until(lambda: not len(pool._cache), LONG)
    assert not any(result.cancel() or result.cancelled() for result in results)
    gate.opened.set()
    assert busy.get().name == "gate"
    one, two, four, five = (result.get() for result in results)
    assert (one.name, [each.name for each in two], four, five) == (1, [2, 3], 4, [5, 6])


def test_cancelling_while_the_thread_unpickles_another(
    pool: Pool, gate: Gate, tmp_path: Path
) -> None:
    busy = pool.apply_async(make_held, ("gate",), callback=lambda _: None)
    assert gate.reached.wait(LONG)
    holding = pool.apply_async(hold, (tmp_path,))
    assert wait_until((tmp_path / "begun").exists, LONG)
    told: list[object] = []
    waiting: list[Any] = [
        pool.apply_async(abs, (-1,), error_callback=lambda error: told.append(type(error))),
        pool.map_async(abs, [-1, -2], error_callback=lambda error: told.append(type(error))),
        pool.apply_async(abs, (-1,)),
        pool.map_async(abs, [-1, -2]),
    ]
    for result in waiting[:2]:
        result.add_done_callback(told.append)
    for result in waiting:
        assert result.cancel() and result.cancelled() and result.done() and not result.running()
        with pytest.raises(futures.CancelledError):
            result.result(LONG)
    cancelled = futures.CancelledError
    assert told == [cancelled, waiting[0], cancelled, waiting[1]]
    assert futures.wait(waiting, LONG).done == set(waiting)
    gate.opened.set()
    (tmp_path / "open").touch()
    assert (busy.get().name, holding.get()) == ("gate", tmp_path.name)


def test_a_map_is_cancelled_though_some_of_it_has_failed(pool: Pool, tmp_path: Path) -> None:
    result: Any = pool.map_async(hold_or_fail, [None, tmp_path], chunksize=1)
    assert wait_until((tmp_path / "begun").exists, LONG)
    assert result.cancel() and result.cancelled()
    with pytest.raises(futures.CancelledError):
        result.get()
    (tmp_path / "open").touch()
    assert pool.apply(abs, (-1,)) == 1


def hold_or_fail(directory: Path | None) -> str:
    if directory is None:
        raise LookupError
    return hold(directory)


# Handlers of signals that raise.


class OwnError(Exception):
    pass


def handlers(error: type[BaseException]) -> dict[str, Callable[[int, FrameType | None], Any]]:
    class Kept:
        def method(self, number: int, frame: FrameType | None) -> None:
            raise error

        def __call__(self, number: int, frame: FrameType | None) -> None:
            raise error

    def function(number: int, frame: FrameType | None) -> None:
        raise error

    def any_arguments(*arguments: object) -> None:
        raise error

    def reset(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise error

    def nested(number: int, frame: FrameType | None) -> None:
        function(number, None)

    return {
        "function": function,
        "any arguments": any_arguments,
        "method": Kept().method,
        "object": Kept(),
        "partial": partial(function),
        "reset": reset,
        "nested": nested,
    }


KINDS = [*handlers(OwnError)]


@pytest.fixture
def handled() -> Iterator[Callable[[str, type[BaseException]], None]]:
    """Have the next thing of its kind that is unpickled interrupted by a handler that raises."""
    before = signal.getsignal(signal.SIGUSR1)

    def prepare(kind: str, error: type[BaseException]) -> None:
        signal.signal(signal.SIGUSR1, handlers(error)[kind])
        signals.append(signal.SIGUSR1)

    yield prepare
    signal.signal(signal.SIGUSR1, before)
    signals.clear()
    unpickled.clear()


Handled = Callable[[str, type[BaseException]], None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TimeoutError, OwnError])
def test_a_handler_that_raises_costs_no_result(
    call: Call, handled: Handled, kind: str, error: type[BaseException]
) -> None:
    result = call(make_signals, "it")
    handled(kind, error)
    with pytest.raises(error):
        result.result()
    assert name_of(result.result()) == "it"
    assert result.result() is result.result() and result.exception() is None


@pytest.mark.parametrize("ask", ["exception", "wait"])
def test_whoever_asks_is_interrupted(pool: Pool, handled: Handled, ask: str) -> None:
    result = pool.apply_async(make_signals, ("it",))
    handled("function", OwnError)
    with pytest.raises(OwnError):
        getattr(result, ask)()
    assert result.get().name == "it"


def test_what_was_unpickled_of_a_list_is_not_unpickled_again(pool: Pool, handled: Handled) -> None:
    result = pool.map_async(make_signals, range(20), chunksize=3)
    assert wait_until(lambda: not len(pool._cache), LONG)
    for _ in range(5):
        handled("function", KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            result.get()
    assert [each.name for each in result.get()] == list(range(20))
    # The first of the first chunk alone was: each interruption came at it.
    assert unpickled == Counter(range(20)) + Counter({0: 5})


def test_later_chunks_are_interrupted(pool: Pool, handled: Handled) -> None:
    result = pool.map_async(make_late, range(20), chunksize=3)
    handled("function", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        result.get()
    assert [each.name for each in result.get()] == list(range(20))
    assert unpickled == Counter(range(20)) + Counter({9: 1, 10: 1})


class Late(Signals):
    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        unpickled[self.name] += 1
        if self.name == 10 and signals:
            signal.raise_signal(signals.pop())


def make_late(name: object) -> Late:
    return Late(name)


@pytest.mark.parametrize("chunksize", [1, 3])
@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_a_handler_that_raises_costs_no_result_of_imap(
    pool: Pool, handled: Handled, method: str, chunksize: int
) -> None:
    results = getattr(pool, method)(make_signals, range(10), chunksize)
    names = []

    def take_all() -> None:
        for each in results:
            names.append(each.name)

    for _ in range(3):
        handled("function", KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            take_all()
        handled("function", OwnError)
        with pytest.raises(OwnError):
            take_all()
        names.append(next(results).name)
    names += [each.name for each in results]
    assert names == list(range(10))


def test_what_does_not_unpickle_is_the_outcome(call: Call, handled: Handled) -> None:
    result = call(lambda _: Raises(), None)
    for _ in range(2):
        with pytest.raises(millpond.RemoteTaskError, match="it does not unpickle"):
            result.result()
    assert unpickled["refused"] == 1
    assert isinstance(result.exception(), millpond.RemoteTaskError)


# Timeouts, event loops and callbacks.


def test_a_timeout_is_kept_while_a_result_is_unpickled(call: Call, gate: Gate) -> None:
    result = call(make_held, "gate")
    assert wait_until(lambda: result._is_reached(), LONG)
    with pytest.raises((TimeoutError, millpond.TimeoutError)):
        result.result(0.05)
    assert gate.reached.wait(LONG)
    with pytest.raises((TimeoutError, millpond.TimeoutError)):
        result.exception(0.01)
    assert futures.wait([result], 0.01).not_done == {result}
    with pytest.raises(TimeoutError):
        next(futures.as_completed([result], 0.01))
    assert not result.done()
    gate.opened.set()
    assert name_of(result.result(LONG)) == "gate"
    assert result.done()
    assert [thread.name.split("-")[0] for thread in gate.threads] == ["millpond"]


def test_a_timeout_of_get_and_of_wait(pool: Pool, gate: Gate) -> None:
    result = pool.apply_async(make_held, ("gate",))
    assert wait_until(lambda: result._is_reached(), LONG)
    result.wait(0.05)
    assert not result.ready()
    with pytest.raises(millpond.TimeoutError):
        result.get(0)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    gate.opened.set()
    result.wait(LONG)
    assert result.ready() and result.successful()
    # As programs that look for it before they ask rely on.
    assert result.get(0).name == "gate"


def test_timeouts_while_another_thread_unpickles(call: Call, gate: Gate) -> None:
    result = call(make_held, "gate")
    asking = [in_a_thread(result.result)]
    assert gate.reached.wait(LONG)
    asking += [in_a_thread(result.result), in_a_thread(lambda: result.result(LONG))]
    with pytest.raises(TimeoutError):
        result.result(0.01)
    called: list[object] = []
    result.add_done_callback(called.append)
    gate.opened.set()
    for thread, _ in asking:
        thread.join()
    value = result.result()
    assert [answer is value for _, [answer] in asking] == [True] * 3
    assert wait_until(lambda: called == [result], LONG)
    assert gate.threads == [asking[0][0]]


def test_two_threads_that_publish_a_result_at_once(call: Call, gate: Gate) -> None:
    result = call(make_held, "gate")
    first, [] = in_a_thread(result.result)
    assert gate.reached.wait(LONG)
    waiting, answers = in_a_thread(lambda: result.result(LONG))
    completions = result._completions
    assert wait_until(lambda: completions._published, LONG)
    with completions._lock:
        # The pool's thread hears that the outcome was taken, and waits for the lock.
        gate.opened.set()
        assert wait_until(lambda: result._result is not None, LONG)
        # A thread that found the result unpublished comes as late as that.
        result._publish()
    first.join()
    waiting.join()
    assert [name_of(answer) for answer in answers] == ["gate"]


def test_an_event_loop_goes_on_while_a_result_is_unpickled(call: Call, gate: Gate) -> None:
    async def main() -> Any:
        result = call(make_held, "gate")
        while not gate.reached.is_set():
            if result.done():
                break
            await asyncio.sleep(0.002)
        # If the loop stood still, this would never come.
        asyncio.get_running_loop().call_later(0.02, gate.opened.set)
        return await result

    assert name_of(asyncio.run(main())) == "gate"


def test_plain_results_need_no_thread(pool: Pool) -> None:
    results = [pool.apply_async(abs, (-n,)) for n in range(10)]
    assert [result.get(LONG) for result in results] == list(range(10))
    assert pool.map_async(abs, [-1, -2]).get(LONG) == [1, 2]
    done = pool.apply_async(abs, (-1,))
    assert wait_until(done.ready, LONG)
    assert pool._completions.thread is None


def test_results_are_unpickled_when_the_pool_has_ended(call: Call, gate: Gate) -> None:
    result = call(make_signals, "it")
    unused = call(make_signals, "unused")
    held = call(make_held, "gate")
    owner = result._completions
    assert wait_until(lambda: held._is_reached(), LONG)
    owner.close()
    owner.join()
    with pytest.raises((TimeoutError, millpond.TimeoutError)):
        held.result(0.01)
    gate.opened.set()
    assert name_of(held.result(LONG)) == "gate"
    assert name_of(result.result(LONG)) == "it"
    assert name_of(unused.result()) == "unused"


def test_without_a_thread_the_asking_one_unpickles(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_to_start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    result = pool.apply_async(make_signals, ("it",))
    pending = pool.apply_async(make_signals, ("other",))
    assert wait_until(pending._is_reached, LONG)
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    assert result.get(LONG).name == "it"
    assert pending.done() and pending.get(0).name == "other"
