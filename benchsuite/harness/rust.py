"""The Rust part: the example `bench_pool` of the crate, which measures us and procspawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.comparison import Comparison, Series
from harness.trial import TrialFailed, run_trial

EXAMPLE = "bench_pool"
PEER = "procspawn"
# How its lines begin; the rest of a line is the workload.
LIBRARIES = ("rust", PEER)
# The least ratios.
TARGETS = {"apply p50": 8.0, "apply one by one": 20.0}
# In seconds, for all of its workloads.
LIMIT = 900


class NoRustPart(Exception):
    """Why there are no figures of the Rust crate."""


def measure(project: Path) -> list[Comparison]:
    """Builds and runs the example.

    Raises:
        NoRustPart: it is not there, does not build, or fails.
    """
    try:
        lines = run_trial([_build(project)], LIMIT)
    except TrialFailed as failure:
        raise NoRustPart(f"the example {EXAMPLE} {failure}") from failure
    if not lines:
        raise NoRustPart(f"the example {EXAMPLE} printed nothing")
    ours: dict[str, Series] = {}
    peers: dict[str, Series] = {}
    for line in lines:
        library, _, title = line["workload"].partition(" ")
        if library not in LIBRARIES:
            raise NoRustPart(f"the example {EXAMPLE} names no known library: {line['workload']!r}")
        side = peers if library == PEER else ours
        side[title] = _series(line["value"], line["unit"])
    return [
        Comparison(
            title=f"Rust: {title}",
            peer_name=PEER,
            peer=peers.get(title),
            ours=ours.get(title),
            least_ratio=TARGETS.get(title),
            alone=title not in peers and title not in TARGETS,
        )
        for title in dict.fromkeys([*ours, *peers])
    ]


def _series(value: float, unit: str) -> Series:
    return Series((value / 1e3,), "k calls/s") if unit == "calls/s" else Series((value,), unit)


def _build(project: Path) -> str:
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--package", "millpond"]
    command += ["--example", EXAMPLE, "--message-format", "json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=project, capture_output=True, text=True)
    except OSError as error:
        raise NoRustPart(f"cargo did not start: {error.strerror}") from error
    if f"no example target named `{EXAMPLE}`" in built.stderr:
        raise NoRustPart(f"the crate millpond has no example {EXAMPLE}")
    if built.returncode != 0:
        sys.stderr.write(built.stderr)
        raise NoRustPart(f"the example {EXAMPLE} does not build")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == EXAMPLE and message.get("executable"):
            return str(message["executable"])
    raise NoRustPart(f"cargo built no example {EXAMPLE}")
