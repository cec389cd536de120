"""The two sides on which a program is run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Seconds after which a program counts as hanging. Plain Python may hang, where that is known.
PLAIN_LIMIT = 12.0
OUR_LIMIT = 45.0


@dataclass(frozen=True)
class Outcome:
    """How a program ended; a status of None says that it hung."""

    status: int | None
    stdout: str
    stderr: str
    left: tuple[str, ...]


class Side:
    """A driver: a process that runs programs one after the other, in one way."""

    def __init__(self, way: str) -> None:
        self.way = way
        mine, theirs = socket.socketpair()
        path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "IMPL": way,
            "METHOD": "fork",
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONHASHSEED": "0",
            "PYTHONFAULTHANDLER": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzzer.driver", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket = mine
        self._answers = mine.makefile("r", encoding="utf-8", newline="\n")

    def run(
        self, source: str, *, method: str = "fork", real: bool = False, limit: float
    ) -> Outcome:
        """Run a program to its end, or for so many seconds."""
        request = {"source": source, "method": method, "real": real, "timeout": limit}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"the driver ended with status {self._process.wait()}")
        answer = json.loads(line)
        left = tuple(answer["left"])
        return Outcome(answer["status"], answer["stdout"], answer["stderr"], left)

    def close(self) -> None:
        """End the driver."""
        self._answers.close()
        self._socket.close()
        self._process.wait()


class Lane:
    """Both sides, with which one thread compares programs."""

    def __init__(self, way: str) -> None:
        self.plain = Side("plain")
        self.ours = Side(way)

    def close(self) -> None:
        """End both drivers."""
        self.plain.close()
        self.ours.close()
