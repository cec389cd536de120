"""Making a pool's zygotes: by forking this program, or a template of it.

A forked worker has the spec in memory. Under spawn and forkserver a template forks the zygote, and
the workers read the spec's pickle from a memfd.

The first zygote forks the workers that the pool begins with. One that takes another's place is to
see the program as it is by then: a zygote is forked for it, from this program or, if the last one
was given anything else than it would be given now, from a template.
"""

from __future__ import annotations

import errno
import multiprocessing.util
import os
import pickle
import signal
import sys
from multiprocessing import context, spawn
from multiprocessing.reduction import ForkingPickler

from millpond import _cpython
from millpond._pickling import passing
from millpond._pool import template, tracker, zygote
from millpond._pool.imports import ImportsOfOthers
from millpond._pool.preload import Preload
from millpond._pool.surroundings import Surroundings
from millpond._pool.worker_spec import take_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from millpond._engine import ForkedZygote, ZygoteFds
    from millpond._pool.worker_spec import WorkerSpec


# The stubs of the standard library do not know all of it.
util: Any = multiprocessing.util
check_not_importing_main: Any = _cpython.get("multiprocessing.spawn", "_check_not_importing_main")


class Launcher:
    """Makes zygotes for the workers of one spec."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec

    is_slow = False
    """Whether to make a zygote takes as long as an interpreter and the program's imports."""

    def start(self, fds: ZygoteFds) -> int | ForkedZygote:
        """Make a zygote and return its pid."""
        raise NotImplementedError

    def replace(self, count: int) -> tuple[list[int], bool]:
        """Return numbers for so many workers that take the places of others.

        The second value says whether those workers need a zygote that is made now.
        """
        return take_numbers(count), self.is_outdated()

    def is_outdated(self) -> bool:
        """Whether this program has changed since the last zygote was made."""
        return True

    def cancel(self) -> None:
        """Have `start` give up: the pool has ended."""

    def close(self) -> None:
        """Let go of what was kept for another zygote."""


def launcher(spec: WorkerSpec, preload: Iterable[str] | None = None) -> Launcher:
    """Return what makes zygotes for this spec.

    Args:
        spec: the spec of a pool's workers.
        preload: the modules to import before workers are made, under spawn and forkserver.

    Raises:
        TypeError: these are no names.
    """
    names = checked_preload(preload)
    return ForkLauncher(spec) if spec.method == "fork" else SpawnLauncher(spec, names)


def checked_preload(preload: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the names of modules to preload as a tuple.

    Raises:
        TypeError: these are no names.
    """
    names = None if preload is None else tuple(preload)
    if isinstance(preload, str) or not all(isinstance(name, str) for name in names or ()):
        raise TypeError(f"preload must be names of modules, not {preload!r}")
    return names


class ForkLauncher(Launcher):
    """Forks zygotes from this process, as it is at that moment."""

    def __init__(self, spec: WorkerSpec) -> None:
        super().__init__(spec)
        self._imports = ImportsOfOthers()

    def start(self, fds: ZygoteFds) -> int:
        util._flush_std_streams()
        tracker.ensure_for_children()
        sys.audit("os.fork")
        # Shortly before the fork, for the other threads go on.
        self._imports.wait()
        # A Ctrl-C finds a new process with a handler in place.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with tracker.kept():
                forked = fds.fork_zygote()
                if not isinstance(forked, int):
                    self._imports.give_up()
        except BaseException:
            if os.getpid() != self.spec.owner_pid:
                zygote.tell_traceback()
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise
        if not isinstance(forked, int):
            zygote.run_worker(forked, self.spec, True, mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return forked


class _Picture:
    """What a process that is spawned now would get of this program."""

    DupFd = passing.Passed

    def __init__(self, spec: WorkerSpec, before: _Picture | None = None) -> None:
        """Take the picture.

        Args:
            spec: the spec of the pool's workers.
            before: the last one; if the spec's arguments cannot be pickled any more, because what
                they led to is gone, they are as they were then.
        """
        self._fds: list[int] = []
        now = Surroundings.of_now()
        # Before the program is imported, for libraries that look at it when they are loaded.
        environment = spec.settings.environment(now.environment)
        self.surroundings = now._replace(environment=environment)
        # The program may look at the name when it is imported.
        preparation = _preparation_data(spec.process_class.__name__)
        set_spawning_popen: Any = context.set_spawning_popen
        set_spawning_popen(self)
        try:
            self.preparation = bytes(ForkingPickler.dumps(preparation))
            self.spec = bytes(passing.pickle_in_band(spec, spec.parts()))
        except Exception:
            if before is None:
                raise
            self.spec, self._fds = before.spec, before._fds
        finally:
            set_spawning_popen(None)

    def duplicate_for_child(self, fd: int) -> int:
        """Have the workers get a descriptor; called while the spec is pickled."""
        self._fds.append(fd)
        return len(self._fds) - 1

    def shows_the_same(self, other: _Picture) -> bool:
        """Whether a process that got the other picture would be no different."""
        parts = [(p.surroundings, p.preparation, p.spec, p._fds) for p in (self, other)]
        return parts[0] == parts[1]


class SpawnLauncher(Launcher):
    """Has zygotes forked from templates.

    The spec is pickled like the arguments of a spawned process, so locks, queues and connections
    among the initializer's arguments may be passed. The descriptors that they need are kept for as
    long as the pool may need another zygote, which the originals need not be.
    """

    is_slow = True

    def __init__(self, spec: WorkerSpec, preload: tuple[str, ...] | None) -> None:
        super().__init__(spec)
        check_not_importing_main()
        self._preload = Preload.wanted(spec.method) if preload is None else Preload(preload)
        if template.is_followed():
            # Each worker's import is its own to trace.
            self._preload = Preload(())
        self._picture = _Picture(spec)
        self._kept: list[int] = []
        self._is_cancelled = False
        # What cannot be started is known at once.
        self._first: Any = template.find_or_start(self._settings())
        try:
            self._keep(self._picture._fds)
        except BaseException:
            self.close()
            raise

    def _settings(self) -> template.Settings:
        picture = self._picture
        return template.Settings(picture.surroundings, picture.preparation, self._preload)

    def is_outdated(self) -> bool:
        """Whether a new interpreter would become another than the last one."""
        before, now = self._picture, _Picture(self.spec, self._picture)
        if now.shows_the_same(before):
            return False
        if now.spec is not before.spec:
            self._keep(now._fds)
        self._picture = now
        return True

    def _keep(self, fds: Iterable[int]) -> None:
        """Keep these descriptors in the place of those kept before; all of them, or none."""
        kept: list[int] = []
        try:
            for fd in fds:
                kept.append(os.dup(fd))
            self._kept, kept = kept, self._kept
        finally:
            for fd in kept:
                os.close(fd)

    def cancel(self) -> None:
        """Have `start` give up: the pool has ended."""
        self._is_cancelled = True

    def close(self) -> None:
        """Let go of what was kept for another zygote: its template, and descriptors."""
        self._keep(())
        first, self._first = self._first, None
        if first is not None:
            template.let_go(first)

    def start(self, fds: ZygoteFds) -> ForkedZygote:
        """Have a template fork a zygote."""
        data = os.memfd_create("millpond-spec")
        current: Any = None
        try:
            with open(data, "wb", closefd=False) as file:
                pickle.dump((self._picture.preparation, self._picture.spec), file)
            passed = [data, tracker.fd_for_children(), *self._kept]
            current, self._first = self._first, None
            for _ in range(_MOST_TEMPLATES):
                last, current = current, template.find_or_start(self._settings(), current)
                if last is not None:
                    template.let_go(last)
                try:
                    zygote: ForkedZygote
                    zygote = current.fork(fds, passed, lambda: self._is_cancelled)
                    return zygote
                except template.TemplateDied:
                    if self._is_cancelled:
                        break
            raise OSError("the interpreters that are to fork the workers end before they do")
        finally:
            if current is not None:
                template.let_go(current)
            os.close(data)


_MOST_TEMPLATES = 8
"""So many templates that die in a row mean that none will ever fork a zygote."""


def _preparation_data(name: str) -> dict[str, Any]:
    """Return what a new interpreter is told of this one.

    Raises:
        FileNotFoundError: there is no interpreter to start, or no directory to start it in.
    """
    executable = os.fsdecode(spawn.get_executable())
    if not os.path.exists(executable):
        text = "there is no such interpreter to start workers with; see set_executable()"
        raise FileNotFoundError(errno.ENOENT, text, executable)
    try:
        return spawn.get_preparation_data(name)
    except FileNotFoundError as error:
        text = "the working directory, in which workers start, was deleted; see os.chdir()"
        raise FileNotFoundError(errno.ENOENT, text) from error
