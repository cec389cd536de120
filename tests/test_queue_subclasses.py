"""Libraries that derive from `multiprocessing`'s queues and locks, and rebuild what is in them."""

from __future__ import annotations

import abc
import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing import connection, queues, synchronize
from pathlib import Path
from typing import Any

import pytest
from support.program import run_program

import millpond

ORIGINAL = {name: getattr(queues, name) for name in ("Queue", "JoinableQueue", "SimpleQueue")}
LOCKS = {
    name: getattr(synchronize, name)
    for name in ("Barrier", "Condition", "Event", "Lock", "Semaphore")
}


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    millpond.install()
    yield
    millpond.uninstall()


def is_ours(cls: type) -> bool:
    return issubclass(cls, (millpond.queues.Queue, millpond.queues.SimpleQueue))


def test_any_subclass_is_the_standard_library_s() -> None:
    class Counted(queues.Queue, abc.ABC):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, ctx=multiprocessing.get_context())
            self.count = multiprocessing.Value("i")

        def put(self, *args: Any, **kwargs: Any) -> None:
            super().put(*args, **kwargs)
            with self.count.get_lock():
                self.count.value += 1

    class Own(millpond.queues.Queue):
        pass

    assert issubclass(Counted, ORIGINAL["Queue"]) and not is_ours(Counted)
    assert type(vars(Counted(3))["_reader"]) is connection.Connection
    queue = Counted(3)
    queue.put("one")
    assert queue.get() == "one" and queue.count.value == 1
    queue.close()
    queue.join_thread()
    assert is_ours(Own)


@pytest.mark.parametrize("name", LOCKS)
def test_so_is_a_subclass_of_a_lock(name: str) -> None:
    original = LOCKS[name]
    kind = type("Own", (getattr(synchronize, name),), {})
    assert kind.__mro__[1] is original
    assert issubclass(kind, getattr(synchronize, name))


@pytest.mark.parametrize("name", ["Queue", "JoinableQueue"])
def test_one_with_a_thread_of_its_own_is_the_standard_library_s(name: str) -> None:
    began = []

    class Threaded(getattr(queues, name)):  # type: ignore[misc]
        def _start_thread(self) -> None:
            began.append(self)
            super()._start_thread()

    assert not is_ours(Threaded) and issubclass(Threaded, ORIGINAL[name])
    queue = Threaded(3, ctx=multiprocessing.get_context())
    queue.put("one")
    assert queue.get() == "one" and began == [queue]
    queue.close()
    queue.join_thread()


def test_one_that_uses_the_locks_is_the_standard_library_s() -> None:
    class Raw(queues.SimpleQueue):  # type: ignore[type-arg]
        def put_bytes(self, data: bytes) -> None:
            with self._wlock:  # type: ignore[attr-defined]
                self._writer.send_bytes(data)  # type: ignore[attr-defined]

        get_bytes = staticmethod(lambda queue: [queue._rlock, queue._reader.recv_bytes()][1])

    queue = Raw(ctx=multiprocessing.get_context())
    assert type(queue).__mro__[1] is ORIGINAL["SimpleQueue"]
    queue.put_bytes(b"one")
    assert queue.get_bytes(queue) == b"one"


def test_all_of_them_are_queues_of_multiprocessing() -> None:
    class Threaded(queues.Queue):  # type: ignore[type-arg]
        def _start_thread(self) -> None:
            pass

    context = multiprocessing.get_context()
    before = ORIGINAL["Queue"](ctx=context)
    for queue in (context.Queue(), before, Threaded(ctx=context)):
        assert isinstance(queue, queues.Queue)
        assert not isinstance(queue, (queues.JoinableQueue, queues.SimpleQueue))
    assert isinstance(context.JoinableQueue(), queues.Queue)
    assert issubclass(Threaded, queues.Queue) and not issubclass(int, queues.Queue)
    assert not isinstance(before, millpond.queues.Queue)
    # The class itself, which a program may have taken before `install()`, knows its own alone.
    assert not isinstance(context.Queue(), ORIGINAL["Queue"])


PROGRAM = """
import multiprocessing, sys
from multiprocessing import queues

class Own(queues.Queue):
    def __init__(self, extra, ctx):
        super().__init__(ctx=ctx)
        self._extra = extra

    def __getstate__(self):
        return (self._ignore_epipe, self._maxsize, self._reader, self._writer, self._rlock,
                self._wlock, self._sem, self._opid, self._extra)

    def __setstate__(self, state):
        (self._ignore_epipe, self._maxsize, self._reader, self._writer, self._rlock,
         self._wlock, self._sem, self._opid, self._extra) = state
        self._reset()

def work(queue):
    queue.put(queue._extra)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue = Own("extra", context)
    child = context.Process(target=work, args=(queue,))
    child.start()
    print(queue.get())
    child.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_such_a_subclass_goes_to_children(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_program([sys.executable, "-m", "millpond", program, method])
    assert (done.returncode, done.stdout, done.stderr) == (0, "extra\n", "")
