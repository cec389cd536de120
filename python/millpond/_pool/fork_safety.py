"""Whether an interpreter that has imported a program can be forked in place of importing it again.

A fork shares what the import opened, lacks the threads that it started, and repeats the random
numbers of the others. Where the import left such things, each worker has to import the program for
itself. Generators of random numbers that everybody uses are no obstacle: they are left in each
worker as its own import would have left them.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import random
import signal
import stat
import sys
import weakref

from millpond._engine_loader import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ImportWitness"]

_MOST_DRAWN = 1000
"""So many times 624 numbers of `random` may be drawn by an import before that looks like a seed."""


class ImportWitness:
    """Looks at an interpreter before and after it imports a program."""

    def __init__(self) -> None:
        """Look at it before."""
        self._files = _files()
        self._shared = _shared_mappings()
        self._finalizers = _finalizers()
        self._registers_exits = False
        self._register = atexit.register
        atexit.register = self._note_exit
        # So it is known what the generator gives unless the program seeds it.
        random.seed(os.urandom(16))
        self._state = random.getstate()
        self._seeded: Any = None

    def _note_exit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Stand in for `atexit.register`: what a program does at its end is for one process."""
        caller: str = sys._getframe(1).f_globals.get("__name__", "")
        if caller.partition(".")[0] not in _EXITS_OF_EACH:
            self._registers_exits = True
        return self._register(function, *args, **kwargs)

    def is_safe(self) -> bool:
        """Return whether forks are as good as imports; called after the import."""
        atexit.register = self._register
        if self._registers_exits or _finalizers() > self._finalizers:
            return False
        if _shared_mappings() > self._shared or any(map(_is_running, _TIMERS)):
            return False
        if _has_children() or self._has_opened_files() or _has_threads():
            return False
        if _are_there_generators():
            return False
        state = random.getstate()
        if not _follows(self._state, state):
            self._seeded = state
        return True

    def _has_opened_files(self) -> bool:
        opened = {
            path
            for number, path in _files().items()
            if self._files.get(number) != path and not _is_log(int(number))
        }
        # Libraries are no files to be read; libffi keeps itself open.
        return bool(opened and opened - _libraries())

    def set_generators(self) -> None:
        """Leave the generators as the import would have left them in this forked process.

        `random` has new numbers in each fork, and numpy's generator the same in all. Each is to
        have the program's seed, or else numbers of its own.
        """
        if self._seeded is not None:
            random.setstate(self._seeded)
        numpy: Any = sys.modules.get("numpy.random")
        if numpy is not None and numpy.get_bit_generator().seed_seq is not None:
            numpy.seed()


_EXITS_OF_EACH = sys.stdlib_module_names | {"millpond"} - {"__main__"}
"""Modules whose handlers at exit do no harm in each of several forks."""

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _is_running(timer: int) -> bool:
    return signal.getitimer(timer)[0] > 0


def _finalizers() -> int:
    """Return how many objects there are that are finalized at exit, temporary directories say."""
    return sum(finalizer.atexit for finalizer in weakref.finalize._registry)  # type: ignore[attr-defined]


def _shared_mappings() -> int:
    """Return how much memory there is that forks would share, and write."""
    with open("/proc/self/maps") as maps:
        return sum(" rw-s " in line for line in maps)


def _files() -> dict[str, str]:
    """Return what is open, by descriptor."""
    files = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            files[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            # It was that of the listing.
            continue
    return files


def _is_log(number: int) -> bool:
    """Return whether a descriptor can only append to a file: its position cannot be moved."""
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    only_appends = flags & (os.O_APPEND | os.O_ACCMODE) == os.O_APPEND | os.O_WRONLY
    return only_appends and stat.S_ISREG(os.fstat(number).st_mode)


def _libraries() -> set[str]:
    """Return the files that this process has code from."""
    with open("/proc/self/maps") as maps:
        parts = [line.split(maxsplit=5) for line in maps]
    return {part[5].rstrip("\n") for part in parts if len(part) == 6 and "x" in part[1]}


def _has_threads() -> bool:
    """Return whether there are threads that forks would lack."""

    def count() -> int:
        return len(os.listdir("/proc/self/task"))

    if count() == 1:
        return False
    # OpenBLAS, which numpy starts, ends its threads before a fork and makes others after it.
    os.waitpid(load_engine().fork_in_vain(), 0)
    return count() > 1


def _has_children() -> bool:
    try:
        with open("/proc/thread-self/children") as children:
            return bool(children.read())
    except OSError:
        # The kernel was built without it.
        return False


def _follows(before: Any, after: Any) -> bool:
    """Return whether numbers were drawn at most between two states of `random`."""
    generator = random.Random()
    generator.setstate(before)
    for _ in range(_MOST_DRAWN):
        if generator.getstate()[1][:-1] == after[1][:-1]:
            return True
        generator.getrandbits(32 * 624)
    return False


def _are_there_generators() -> bool:
    """Return whether there are generators of random numbers that belong to the program alone."""
    kinds: tuple[type, ...] = (random.Random,)
    common = [random.seed.__self__]  # type: ignore[attr-defined]
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        if not hasattr(numpy, "get_bit_generator"):
            return True
        kinds += (numpy.Generator, numpy.RandomState, numpy.BitGenerator)
        common += [getattr(numpy.rand, "__self__", None), numpy.get_bit_generator()]
    # Of other objects no attribute is looked up: proxies act on that.
    return any(
        issubclass(type(thing), kinds)
        and not isinstance(thing, random.SystemRandom)
        and not any(thing is each for each in common)
        for thing in gc.get_objects()
    )
