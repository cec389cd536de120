"""A process that has everything imported and forks a child for each program.

`python -m fuzzer.driver DESCRIPTOR`, with IMPL set: a request is a line of JSON on that socket, and
so is its answer. The driver adopts what its programs leave behind, so it sees whether anything
lives on after a program's end.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

# Seconds that processes of a program have to end after it.
GRACE = 10.0
_MOST_OUTPUT = 1 << 18
_PR_SET_CHILD_SUBREAPER = 36


class Child(Exception):
    """This is the forked child, which is to run the program."""

    def __init__(self, path: str, request: dict[str, Any]) -> None:
        super().__init__()
        self.path, self.request = path, request


def import_everything() -> None:
    """Import what programs use, so that their children need not."""
    import concurrent.futures.process  # noqa: F401

    import numpy  # noqa: F401
    import outcome
    from subject import mp

    for name in "Pool Queue SimpleQueue JoinableQueue Lock Condition Value Pipe".split():
        getattr(mp, name)
    if outcome.way != "plain":
        import cloudpickle  # noqa: F401

        import millpond.pool
        import millpond.queues
        import millpond.shared_memory
        import millpond.sharedctypes
        import millpond.synchronize
        from millpond._engine_loader import load_engine

        load_engine()
        _ = millpond.ProcessPoolExecutor


def serve(channel: socket.socket, folder: str) -> None:
    """Answer requests until the other side closes the socket."""
    requests = channel.makefile("r", encoding="utf-8", newline="\n")
    for line in requests:
        request = json.loads(line)
        answer = run(request, folder, channel)
        channel.sendall(json.dumps(answer).encode() + b"\n")


def run(request: dict[str, Any], folder: str, channel: socket.socket) -> dict[str, Any]:
    """Run one program in a child and tell how it ended."""
    path = os.path.join(folder, "program.py")
    Path(path).write_text(request["source"], encoding="utf-8")
    outputs = [os.memfd_create("stdout"), os.memfd_create("stderr")]
    pid = os.fork()
    if pid == 0:
        os.setsid()
        channel.detach()
        for descriptor, output in enumerate(outputs, 1):
            os.dup2(output, descriptor)
            os.close(output)
        raise Child(path, request)
    try:
        status = _wait(pid, request["timeout"])
        left = _clear(pid, 0.0 if status is None else GRACE)
        texts = [_content(output) for output in outputs]
    finally:
        for output in outputs:
            os.close(output)
    return {"status": status, "stdout": texts[0], "stderr": texts[1], "left": left}


def _wait(pid: int, seconds: float) -> int | None:
    """Return the exit status, or None when the program had to be killed."""
    pidfd = os.pidfd_open(pid)
    try:
        ended = bool(select.select([pidfd], [], [], seconds)[0])
        if not ended:
            os.kill(pid, signal.SIGABRT)  # faulthandler writes where it stands
            select.select([pidfd], [], [], 2.0)
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(pidfd)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else None


def _clear(session: int, grace: float) -> list[str]:
    """Wait until no process of the session lives, kill what does nevertheless, and name it."""
    deadline = time.monotonic() + grace
    pause = 0.001
    while not _reap() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    left: dict[int, str] = {}
    while not _reap():
        for pid in _members(session):
            left.setdefault(pid, _command(pid))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)
    return sorted(left.values())


def _reap() -> bool:
    """Collect adopted children that have ended; return whether none is left."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return False
        except ChildProcessError:
            return True


def _members(session: int) -> list[int]:
    """The processes of the program's session, and those that made one of their own."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            fields = stat.rpartition(")")[2].split()
            if int(fields[3]) == session or int(fields[1]) == os.getpid():
                found.append(int(entry))
    return found


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process that has just ended"
    return f"{name}: {b' '.join(words[:4]).decode(errors='replace')}"


def _content(descriptor: int) -> str:
    return os.pread(descriptor, _MOST_OUTPUT, 0).decode(errors="replace")


def perform(child: Child) -> None:
    """Be the program, as if the interpreter had been started with it."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.environ["METHOD"] = child.request["method"]
    if child.request["real"]:
        os.execv(sys.executable, [sys.executable, child.path])
    gc.unfreeze()
    gc.enable()
    sys.argv = [child.path]
    sys.path[0] = os.path.dirname(child.path)
    main: Any = types.ModuleType("__main__")
    main.__file__ = child.path
    sys.modules["__main__"] = main
    exec(compile(child.request["source"], child.path, "exec"), main.__dict__)


def main() -> None:
    faulthandler.enable()
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    import_everything()
    gc.collect()
    gc.disable()
    gc.freeze()
    folder = tempfile.TemporaryDirectory(prefix="differential-")
    child = None
    os.chdir(folder.name)
    try:
        serve(channel, folder.name)
    except Child as this:
        folder._finalizer.detach()  # type: ignore[attr-defined]  # it is the driver's
        child = this
        child.__traceback__ = None
    if child is not None:
        perform(child)
    else:
        os.chdir("/")
        folder.cleanup()


if __name__ == "__main__":
    main()
