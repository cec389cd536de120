"""Tasks that fork, and return in the worker and in the child."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from gate import Gate


def exit_code_of_child(action: Callable[[], object]) -> int:
    """Fork; what the child does is its return from the task. The worker waits for its end."""
    child = os.fork()
    if child == 0:
        return action()  # type: ignore[return-value]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def do_nothing() -> None: ...


def exit_with_seven() -> None:
    sys.exit(7)


def exit_with_text() -> None:
    sys.exit("a text")


def fail() -> None:
    raise ValueError("on purpose")


def interrupt() -> None:
    raise KeyboardInterrupt


def return_what_does_not_pickle() -> object:
    return threading.Lock()


def start_a_thread() -> None:
    threading.Thread(target=os.write, args=(1, b"")).start()


class ForksAsItIsPickled:
    """A result whose pickling forks."""

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (exit_code_of_child(do_nothing),)


def return_what_forks_as_it_is_pickled() -> ForksAsItIsPickled:
    return ForksAsItIsPickled()


class ForksAsItIsUnpickled:
    """An argument whose unpickling forks."""

    def __reduce__(self) -> tuple[Callable[..., int], tuple[Callable[[], None]]]:
        return exit_code_of_child, (do_nothing,)


def identity(value: object) -> object:
    return value


def fork_at(item: tuple[int, int, str]) -> int:
    """Fork at one item; note every item that any process works on."""
    number, at, notes = item
    with open(notes, "a") as file:
        file.write(f"{number}\n")
    if number == at:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
    return number


def fork_in_initializer(notes: str) -> None:
    code = exit_code_of_child(do_nothing)
    if code is not None:
        with open(notes, "a") as file:
            file.write(f"{code}\n")


def fork_at_the_end() -> None:
    import atexit

    atexit.register(exit_code_of_child, do_nothing)


def die_and_leave_a_child(gate: Gate) -> None:
    """The worker dies; its child waits at the gate, holding whatever it has inherited."""
    if os.fork() == 0:
        gate.hold()
        os._exit(0)
    os._exit(3)
