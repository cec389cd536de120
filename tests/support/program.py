"""Run a program under a watchdog, and see to it that no process of it survives.

    from support.program import run_program

    def test_greets() -> None:
        done = run_program([sys.executable, "-c", "print('hello')"])
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\\n", "")

The program runs in a process group of its own and with a mark in its environment, which all that
it starts inherit. `run_program` returns when the program has ended and nothing of its tree lives:

- A process that is still there a moment after the program's end is killed, and `ProcessesLeft`
  (an `AssertionError`) says who it was.
- When the program does not end in time, `ProgramHangs` (an `AssertionError`) tells where every
  thread of every process of the tree stands (kernel, native stacks if gdb is installed) and shows
  the output so far, which holds the tracebacks of all Python processes. Then all are killed.

For a test that acts while its program runs, `start_program` gives a context manager with the
same care: `with start_program(argv) as program: ...; done = program.finish()`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from support.processes import describe, marked, post_mortem, process_table, send, wait_until

# Below the limit of a whole test, so that this report comes before that one.
TIMEOUT = 45.0

# What a process that is about to exit gets; the wait ends as soon as it is gone.
EXIT_GRACE = 10.0


@dataclass(frozen=True)
class Completed:
    """A program that has ended; `returncode` is negative where a signal ended it."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class ProgramHangs(AssertionError):
    """The program did not end in time."""


class ProcessesLeft(AssertionError):
    """The program has ended, but processes that it started live on."""


def run_program(
    argv: Sequence[str | os.PathLike[str]],
    *,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT,
) -> Completed:
    """Run a program to its end, and check that nothing of it is left.

    Args:
        argv: The program and its arguments.
        input: What it reads from standard input; by default, nothing.
        env: Its whole environment; by default, that of the test. PYTHONFAULTHANDLER is added
            unless it is in there (empty to do without).
        cwd: Its working directory; by default, that of the test.
        timeout: Seconds after which it counts as hanging. It is a watchdog, not a measurement.

    Raises:
        ProgramHangs: it did not end in time.
        ProcessesLeft: it left a process behind.
    """
    with start_program(argv, input=input, env=env, cwd=cwd) as program:
        return program.finish(timeout)


def start_program(
    argv: Sequence[str | os.PathLike[str]],
    *,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Program:
    """Start a program; leaving the `with` block kills whatever is left of it."""
    words = tuple(os.fspath(word) for word in argv)
    return Program(words, input, os.environ if env is None else env, cwd)


class Program:
    """A running program and everything that it starts."""

    def __init__(
        self,
        argv: tuple[str, ...],
        input: str | None,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
    ) -> None:
        name, value = "MILLPOND_TEST_PROGRAM", uuid.uuid4().hex
        self._mark = f"{name}={value}"
        self._argv = argv
        # Files, not pipes: a survivor that holds a pipe open would look like a program that hangs.
        self._stdout = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        try:
            with tempfile.TemporaryFile() as stdin:
                stdin.write((input or "").encode())
                stdin.seek(0)
                self._process = subprocess.Popen(
                    argv,
                    stdin=stdin,
                    stdout=self._stdout,
                    stderr=self._stderr,
                    cwd=cwd,
                    env={"PYTHONFAULTHANDLER": "1", **env, name: value},
                    process_group=0,
                )
        except BaseException:
            self._close()
            raise

    @property
    def pid(self) -> int:
        """The pid of the program, which is also its process group."""
        return self._process.pid

    def pids(self) -> set[int]:
        """Every living process of the tree, the program included."""
        group = {
            process.pid
            for process in process_table().values()
            if process.group == self.pid and not process.is_zombie
        }
        return group | marked(self._mark)

    def interrupt(self) -> None:
        """Do what a terminal does on Ctrl-C: SIGINT to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def output(self) -> str:
        """What the program has written to standard output so far."""
        return _contents(self._stdout)

    def errors(self) -> str:
        """What the program has written to standard error so far."""
        return _contents(self._stderr)

    def finish(self, timeout: float = TIMEOUT) -> Completed:
        """Wait for the end of the program and of all that it started."""
        if not self._wait(timeout):
            text = post_mortem(self.pids())
            raise ProgramHangs(f"still running after {timeout:g} s: {self._story(text)}")
        if not wait_until(lambda: not self.pids(), EXIT_GRACE):
            left = "\n".join(map(describe, sorted(self.pids())))
            text = post_mortem(self.pids())
            raise ProcessesLeft(
                f"has ended with status {self._process.returncode} but left:\n"
                f"{left}\n{self._story(text)}"
            )
        return Completed(self._argv, self._process.returncode, self.output(), self.errors())

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while pids := self.pids():
            for pid in pids:
                send(pid, signal.SIGKILL)
            self._process.poll()
        self._process.wait()
        self._close()

    def _wait(self, timeout: float) -> bool:
        """Sleep until the program itself has ended; whether it has."""
        pidfd = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            ended = bool(poll.poll(timeout * 1000))
        finally:
            os.close(pidfd)
        if ended:
            self._process.wait()
        return ended

    def _story(self, text: str) -> str:
        return (
            f"{self._argv}\n{text}\n"
            f"--- standard output\n{self.output()}\n--- standard error\n{self.errors()}"
        )

    def _close(self) -> None:
        self._stdout.close()
        self._stderr.close()


def _contents(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="backslashreplace")
