"""Options of calls that meet: retries, priorities, streams, limits on what waits, cancelling."""

from __future__ import annotations

import itertools
import os
import resource
import time
from pathlib import Path

import pytest

import millpond

METHODS = ["fork", "spawn", "forkserver"]


def note_and_fail(path: str, times: int) -> int:
    with open(path, "ab", buffering=0) as file:
        file.write(b".")
    if os.path.getsize(path) <= times:
        raise ConnectionError(path)
    return times


def note(path: str, word: str) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(word.encode() + b"\n")


def double(number: int) -> int:
    return 2 * number


def hold(path: str) -> None:
    Path(f"{path}.begun").touch()
    wait_for(path)


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.001)


@pytest.mark.parametrize("delay", [0, 0.001])
@pytest.mark.parametrize("method", METHODS)
def test_retries_begin_while_no_thread_waits(method: str, delay: float, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    context = millpond.get_context(method)
    with context.Pool(2, retries=3, retry_on=ConnectionError, retry_delay=delay) as pool:
        result = pool.apply_async(note_and_fail, (str(noted), 3))
        while not noted.exists() or noted.stat().st_size < 4:
            time.sleep(0.001)
        assert result.get() == 3
        assert pool.stats()[:2] == (1, 1)


def test_a_stream_leaves_room_for_other_calls() -> None:
    with millpond.Pool(2, max_pending=4, when_full="raise") as pool:
        stream = pool.imap(double, itertools.count())
        assert next(stream) == 0
        # However much of its input is with the pool.
        assert [pool.apply_async(double, (n,)).get() for n in range(20)] == [*range(0, 40, 2)]
        assert next(stream) == 2


def test_cancelling_leaves_other_calls_their_delay(tmp_path: Path) -> None:
    noted, gate = tmp_path / "noted", tmp_path / "gate"
    with millpond.Pool(1, retries=1, retry_on=ConnectionError, retry_delay=3600) as pool:
        delayed = pool.apply_async(note_and_fail, (str(noted), 1))
        while not pool.stats().retries:
            time.sleep(0.001)
        pool.apply_async(hold, (str(gate),))
        assert pool.apply_async(double, (1,)).cancel()
        gate.touch()
        # What comes after the held call finds that it is not the retry's turn.
        assert pool.apply(double, (2,)) == 4
        assert noted.stat().st_size == 1
        assert delayed.cancel()


def test_a_delayed_retry_has_its_priority_still(tmp_path: Path) -> None:
    noted, tried, gate = (str(tmp_path / name) for name in ("noted", "tried", "gate"))
    with millpond.Pool(1) as pool:
        low = pool.options(priority=-5, retries=1, retry_on=ConnectionError, retry_delay=0.05)
        again = low.apply_async(note_and_fail, (tried, 1))
        while not pool.stats().retries:
            time.sleep(0.001)
        held = pool.apply_async(hold, (gate,))
        wait_for(f"{gate}.begun")
        high = [pool.apply_async(note, (noted, str(n))) for n in range(8)]
        # The retry's time comes while they wait.
        while -5 not in pool.stats().levels:
            time.sleep(0.001)
        Path(gate).touch()
        held.get()
        for result in high:
            result.get()
        assert again.get() == 1
        # It was last.
        assert os.stat(tried).st_mtime_ns >= os.stat(noted).st_mtime_ns


def test_a_limit_holds_while_there_are_no_descriptors() -> None:
    with millpond.Pool(2) as pool:
        pool._engine.wait_started(None)
        # It imports what `stats` needs, too.
        assert pool.stats().timeouts == 0
        late = pool.options(timeout=0.2, grace=0).apply_async(time.sleep, (3600,))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            while not pool.stats().timeouts:
                time.sleep(0.001)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        with pytest.raises(millpond.TaskTimeoutError):
            late.get()
        assert pool.apply(double, (2,)) == 4
