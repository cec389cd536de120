"""Tasks that go wrong, and a few that do not; importable by workers of every start method."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn


def double(n: int) -> int:
    return 2 * n


def kill_self(note: Path | None = None) -> NoReturn:
    """Die by SIGKILL, after leaving the own pid in a file."""
    if note is not None:
        note.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("outlived SIGKILL")


def double_or_die(n: int, doomed: int, note: Path) -> int:
    if n == doomed:
        kill_self(note)
    return 2 * n


def exit_hard(code: int) -> NoReturn:
    os._exit(code)


def exit_softly(code: object) -> NoReturn:
    sys.exit(code)  # type: ignore[arg-type]


def interrupt() -> NoReturn:
    raise KeyboardInterrupt("pressed in a task")


def be_base_exception() -> NoReturn:
    raise GeneratorExit("out of place")


def inner_failure() -> NoReturn:
    raise LookupError("no such fish")


def outer_failure(_: object = None) -> NoReturn:
    try:
        inner_failure()
    except LookupError as error:
        raise ValueError("the pond is empty") from error


def identity(value: Any) -> Any:
    return value


def make_lock(_: object = None) -> object:
    """A result that does not pickle."""
    return threading.Lock()


def refuse_to_load(reason: str) -> NoReturn:
    raise RuntimeError(f"refuses to load: {reason}")


class Unloadable:
    """Pickles, but does not unpickle."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return refuse_to_load, (self.reason,)


class Undumpable:
    """Does not pickle."""

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("refuses to be pickled")


def make_unloadable(reason: str) -> Unloadable:
    return Unloadable(reason)


class NeedsTwoArguments(Exception):
    """Pickles, but does not unpickle: it keeps one argument and needs two."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


class HoldsLock(Exception):
    """Does not pickle: it has a lock for an attribute."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def raise_needs_two(_: object = None) -> NoReturn:
    raise NeedsTwoArguments("leak", "the boat")


def raise_holds_lock(_: object = None) -> NoReturn:
    raise HoldsLock("stuck in the lock")


def raise_local(_: object = None) -> NoReturn:
    """Raise an exception whose class cannot be found by name."""

    class Local(Exception):
        pass

    raise Local("nobody knows me")


def fail_to_start(reason: str) -> NoReturn:
    raise PermissionError(reason)


def fail_to_start_again(note: Path) -> None:
    """An initializer that works for the first worker only."""
    try:
        note.touch(exist_ok=False)
    except FileExistsError:
        raise PermissionError("only one licence") from None


def make_bytes(index: int, size: int) -> tuple[int, int, bytes]:
    """Return the worker's pid, the index, and many bytes."""
    return os.getpid(), index, bytes([index % 251]) * size


class SilentError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raise_silently() -> NoReturn:
    raise SilentError
