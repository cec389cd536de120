"""The exceptions for waits that nobody alive can end, and what the engine cannot see by itself."""

from __future__ import annotations

import signal
from multiprocessing import process

from millpond import _cpython, exceptions
from millpond._engine_loader import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["deadlock", "handles_signals"]

_LACK: Mapping[str, tuple[type[exceptions.Deadlock], str]] = {
    "lock": (exceptions.Deadlock, "release the lock, which {holder}"),
    "permit": (exceptions.Deadlock, "release a permit of the semaphore"),
    "notification": (exceptions.Deadlock, "notify the condition"),
    "tasks": (exceptions.Deadlock, "call task_done() for the items that are not done"),
    "parties": (exceptions.BarrierDeadlock, "be the party that is missing at the barrier"),
    "item": (exceptions.ReceiveDeadlock, "put an item into the queue, which is empty"),
    "room": (exceptions.Deadlock, "take an item from the queue, which is full"),
    "message": (exceptions.ReceiveDeadlock, "send to the pipe: both ends are this one's"),
}
"""By what the engine calls what is waited for: the exception, and what nobody can do."""

_NOBODY_HAS_IT = "no other living process has it, and this one has one thread"
_ALL_WAIT = "each living process that has it waits there, and has one thread"


def deadlock(lack: str, holder: int | None) -> exceptions.Deadlock:
    """Return the exception for a wait that nobody can end; the engine calls this.

    Args:
        lack: what is waited for.
        holder: the process that holds the lock, if that is what is waited for and it is another
            process, which has ended.
    """
    kind, what = _LACK[lack]
    held = "this process holds" if holder is None else f"process {holder} kept when it ended"
    ended = _ended_children()
    pids = tuple(sorted({pid for pid, _ in ended} | ({holder} if holder is not None else set())))
    names = ", ".join(name for _, name in ended)
    why = _ALL_WAIT if lack == "parties" else _NOBODY_HAS_IT
    message = f"nobody can {what.format(holder=held)}: {why}"
    return kind(f"{message} ({names})" if names else message, pids)


def _ended_children() -> list[tuple[int, str]]:
    """Return the pid and the description of each known process that this one made and has ended."""
    ended = []
    for child in _known_processes():
        try:
            pid, code = child.pid, child.exitcode
        except (AssertionError, ValueError):
            continue  # another process' child, or closed
        if pid is not None and code is not None:
            ended.append((pid, f"{child.name}: process {pid} {exceptions._end(code)}"))
    return sorted(ended)


def _known_processes() -> list[process.BaseProcess]:
    children: set[process.BaseProcess] = _cpython.get("multiprocessing.process", "_dangling")
    # This process has one thread, so the set does not change meanwhile.
    return list(children)


def handles_signals() -> bool:
    """Return whether a signal could run code that ends a wait; the engine calls this.

    Python's own handler of SIGINT raises KeyboardInterrupt, which does not count.
    """
    handlers = {number: signal.getsignal(number) for number in range(1, signal.NSIG)}
    allowed = []
    if handlers[signal.SIGINT] is signal.default_int_handler:
        del handlers[signal.SIGINT]
        allowed.append(int(signal.SIGINT))
    # Those that were not installed from Python are None here.
    in_python = any(callable(handler) for handler in handlers.values())
    in_c: bool = load_engine().has_signal_handlers(allowed)
    return in_python or in_c
