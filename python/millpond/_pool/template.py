"""Templates: interpreters that import the program once, and fork the zygotes of its pools.

Under spawn and forkserver a pool's zygote is a fork of a template, which stays for the program's
next pool, and for zygotes that take another's place. A template is used for what a new interpreter
would be given just the same: environment, directory, path, arguments, `__main__`. It ends with the
program. `pool/README.md` of the engine has the protocol.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from contextlib import contextmanager
from multiprocessing import spawn, util

from millpond._bootstrap import Executed, load_source
from millpond._engine_loader import load_engine
from millpond._pool import tracker
from millpond._pool.surroundings import Surroundings
from millpond._pool.zygote import TemplateProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from millpond._engine import ForkedZygote, ZygoteFds
    from millpond._pool.preload import Preload

__all__ = ["Settings", "TemplateDied", "find_or_start", "is_followed", "let_go", "stop_all"]

_MOST = 4
"""A program that goes on changing what its pools are given keeps so many templates."""

_RECHECK_INTERVAL = 0.1
"""Seconds after which a thread that waits for a template looks whether the pool has ended."""

# The stubs of the standard library do not know all of it.
_util: Any = util


class TemplateDied(Exception):
    """A template died before it had done what it was asked for."""


class Settings:
    """What a template is made from. Pools with equal settings share one."""

    def __init__(self, surroundings: Surroundings, preparation: bytes, preload: Preload) -> None:
        """Take the settings.

        Args:
            surroundings: what a process inherits: directory, limits, environment.
            preparation: the pickle of what the standard library tells a spawned process.
            preload: what to import.
        """
        self.surroundings = surroundings
        self.preparation = preparation
        self.preload = preload
        self._all = surroundings, preparation, preload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._all == other._all

    __hash__ = None  # type: ignore[assignment]


class _Template:
    """A template, as its owner has it."""

    def __init__(self, settings: Settings, preload: Preload, crashes: int = 0) -> None:
        """Prepare to start one.

        Args:
            settings: what it is for.
            preload: what it imports, which may be less.
            crashes: how many that imported the same have been killed, or crashed, in a row.
        """
        self.settings = settings
        self.preload = preload
        self.crashes = crashes
        # How many want it; it is not ended to make room for another meanwhile.
        self.users = 0
        # What it inherited is what the settings say.
        self.is_as_set = False
        self.is_ready = False
        self._is_gone = False
        self._status: int | None = None
        self._lock = threading.Lock()
        self._number = 0
        self._client = load_engine().TemplateClient()
        self._pid: int | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            OSError: the system's, when there can be no new process.
        """
        settings = self.settings
        tracker_fd = tracker.fd_for_children()
        numbers = self._client.numbers()
        # The program may have changed since the pool was made.
        self.is_as_set = Surroundings.of_now().rest == settings.surroundings.rest
        inherited = settings.surroundings.environment, settings.surroundings.umask
        arguments = (numbers, os.getpid(), inherited, settings.preparation, self.preload)
        data = os.memfd_create("millpond-template")
        try:
            with open(data, "wb", closefd=False) as file:
                # What the interpreter prepares itself with, and what it is to be.
                pickle.dump({"millpond": Executed(load_source())}, file)
                pickle.dump(TemplateProcess(*arguments), file)
            os.lseek(data, 0, os.SEEK_SET)
            # The command line of a spawned process, which a frozen program knows what to do with.
            command = spawn.get_command_line(tracker_fd=tracker_fd, pipe_handle=data)
            with _without_interrupts():
                executable = os.fsencode(spawn.get_executable())
                self._pid = _util.spawnv_passfds(executable, command, [*numbers, data, tracker_fd])
        finally:
            os.close(data)
            self._client.started()

    def fork(
        self, fds: ZygoteFds, passed: Sequence[int], is_cancelled: Callable[[], bool]
    ) -> ForkedZygote:
        """Fork a zygote.

        Args:
            fds: what the zygote works with.
            passed: descriptors that its workers get.
            is_cancelled: whether the zygote is not wanted any more; asked while this waits.

        Raises:
            TemplateDied: it is dead, or `is_cancelled()`.
            OSError: the system's, when there can be no new process.
        """
        while not self._lock.acquire(timeout=_RECHECK_INTERVAL):
            if is_cancelled():
                raise TemplateDied
        try:
            self._wait("ready", 0, is_cancelled)
            self._number += 1
            self._client.request(self._number, fds, passed)
            zygote: ForkedZygote = self._wait("forked", self._number, is_cancelled)
            return zygote
        except BrokenPipeError:
            self._is_gone = True
            raise TemplateDied from None
        finally:
            self._lock.release()

    def _wait(self, wanted: str, number: int, is_cancelled: Callable[[], bool]) -> Any:
        while not (wanted == "ready" and self.is_ready):
            answer = self._client.answer(_RECHECK_INTERVAL)
            if answer is None:
                if is_cancelled():
                    raise TemplateDied
                # A child that was forked meanwhile may hold its end of the socket open.
                if not self.has_died():
                    continue
                answer = self._client.answer(0) or ("gone", 0, None)
            kind, of, what = answer
            if kind == "gone":
                self._is_gone = True
                raise TemplateDied
            if kind == "ready":
                self.is_ready = True
            elif of == number and kind == "failed":
                raise what
            elif of == number:
                return what
        return None

    def has_died(self) -> bool:
        """Return whether it is dead; then it is reaped."""
        own = self._pid
        if own is None:
            return True
        try:
            pid, status = os.waitpid(own, os.WNOHANG)
            if pid == 0 and self._is_gone:
                # It has closed its socket, and so is of no use if it does not end.
                os.kill(own, signal.SIGKILL)
                pid, status = os.waitpid(own, 0)
        except ChildProcessError:
            # Another part of the program that waits for its children has reaped it.
            return True
        if pid != 0:
            self._status = status
            self._pid = None
        return pid != 0

    def successor(self) -> _Template:
        """Return what is to be started in its place, after its death."""
        while not self.is_ready and (answer := self._client.answer(0)) is not None:
            if answer[0] == "gone":
                break
            self.is_ready = answer[0] == "ready"
        if self.is_ready:
            return _Template(self.settings, self.preload)
        crashed = self._status is not None and os.WIFSIGNALED(self._status)
        if crashed and not self.crashes:
            return _Template(self.settings, self.preload, self.crashes + 1)
        return _Template(self.settings, self.preload.less())

    def stop(self) -> None:
        """End it. Its zygotes go on."""
        # It is killed if it lives.
        self._is_gone = True
        self.has_died()


class _Templates:
    """The templates of this process, the newest last."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # In a forked child they are the parent's.
        self._lock = threading.Lock()
        self._living: list[_Template] = []
        self._finalizer: Any = None

    def find_or_start(self, settings: Settings, last: _Template | None) -> _Template:
        with self._lock:
            known = [
                each
                for each in self._living
                if each.settings == settings and (each is last or each.is_as_set)
            ]
            template = known[0] if known else _Template(settings, settings.preload)
            if known and template.has_died():
                self._living.remove(template)
                template = template.successor()
            template.users += 1
            if template not in self._living:
                self._start(template)
            return template

    def _start(self, template: _Template) -> None:
        if self._finalizer is None:
            # After all pools.
            self._finalizer = util.Finalize(None, self.stop_all, exitpriority=-100)
        self._living.append(template)
        try:
            template.start()
        except BaseException:
            self._living.remove(template)
            template.stop()
            raise
        self._make_room()

    def let_go(self, template: _Template) -> None:
        with self._lock:
            template.users -= 1
            self._make_room()

    def _make_room(self) -> None:
        unused = [each for each in self._living if not each.users]
        for template in unused[: max(len(self._living) - (0 if is_followed() else _MOST), 0)]:
            self._living.remove(template)
            template.stop()

    def stop_all(self) -> None:
        with self._lock:
            while self._living:
                self._living.pop().stop()


_templates = _Templates()


def is_followed() -> bool:
    """Return whether a tracer, such as viztracer, follows the processes that are spawned.

    It waits for all of them before the program's end, and tells of each.
    """
    return hasattr(_util.spawnv_passfds, "__wrapped__")


def find_or_start(settings: Settings, last: _Template | None = None) -> _Template:
    """Return the template of these settings for the caller, who calls `let_go` when it has forked.

    It may not be ready yet.

    Args:
        settings: what it is for.
        last: the one that the caller had for that, if there was one.

    Raises:
        OSError: there can be no new process.
    """
    return _templates.find_or_start(settings, last)


def let_go(template: _Template) -> None:
    """Want a template no more."""
    _templates.let_go(template)


def stop_all() -> None:
    """End the templates of this process. Pools go on, and start another when they need one."""
    _templates.stop_all()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block SIGINT, so that a Ctrl-C finds a new process with a handler in place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
