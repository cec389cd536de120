"""The Rust part of a benchmark: an example of the crate, which measures us and a peer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.comparison import Comparison, Series
from harness.trial import TrialFailed, run_trial

# In seconds, for all workloads.
LIMIT = 900


@dataclass(frozen=True)
class RustPart:
    """An example that prints lines of JSON: `rust WORKLOAD` is ours, `PEER WORKLOAD` the peer's.

    A workload has as many lines as it was measured times.
    """

    example: str
    peer: str
    targets: dict[str, float]
    """The least ratio of a workload."""
    arguments: tuple[str, ...] = ()

    @property
    def libraries(self) -> tuple[str, str]:
        return ("rust", self.peer)


class NoRustPart(Exception):
    """Why there are no figures of the Rust crate."""


def measure(project: Path, part: RustPart) -> list[Comparison]:
    """Builds and runs the example.

    Raises:
        NoRustPart: it is not there, does not build, or fails.
    """
    try:
        lines = run_trial([_build(project, part.example), *part.arguments], LIMIT)
    except TrialFailed as failure:
        raise NoRustPart(f"the example {part.example} {failure}") from failure
    if not lines:
        raise NoRustPart(f"the example {part.example} printed nothing")
    ours: dict[str, Series] = {}
    peers: dict[str, Series] = {}
    for line in lines:
        library, _, title = line["workload"].partition(" ")
        if library not in part.libraries:
            raise NoRustPart(
                f"the example {part.example} names no known library: {line['workload']!r}"
            )
        side = peers if library == part.peer else ours
        earlier = side[title].values if title in side else ()
        side[title] = _series(line["value"], line["unit"], earlier)
    return [
        Comparison(
            title=f"Rust: {title}",
            peer_name=part.peer,
            peer=peers.get(title),
            ours=ours.get(title),
            least_ratio=part.targets.get(title),
            alone=title not in peers and title not in part.targets,
        )
        for title in dict.fromkeys([*ours, *peers])
    ]


def _series(value: float, unit: str, earlier: tuple[float, ...]) -> Series:
    if unit == "calls/s":
        value, unit = value / 1e3, "k calls/s"
    return Series((*earlier, value), unit)


def _build(project: Path, example: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--package", "millpond"]
    command += ["--example", example, "--message-format", "json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=project, capture_output=True, text=True)
    except OSError as error:
        raise NoRustPart(f"cargo did not start: {error.strerror}") from error
    if f"no example target named `{example}`" in built.stderr:
        raise NoRustPart(f"the crate millpond has no example {example}")
    if built.returncode != 0:
        sys.stderr.write(built.stderr)
        raise NoRustPart(f"the example {example} does not build")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == example and message.get("executable"):
            return str(message["executable"])
    raise NoRustPart(f"cargo built no example {example}")
