"""One measurement: a program in a process of its own that prints lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


class TrialFailed(Exception):
    """A measurement that gave no value, and why."""


class TrialSkipped(Exception):
    """A measurement that there is nothing for, and why."""


def run_trial(
    command: Sequence[str], limit: float, *, directory: Path | None = None
) -> list[dict[str, Any]]:
    """Runs a measuring program and returns the objects that it printed.

    What it starts ends with it, whatever happens: all are in a session of their own.

    Args:
        command: the program and its arguments. It answers SIGUSR1 with its stacks, or dies of it.
        limit: in seconds; a program that takes longer is asked for its stacks and killed.
        directory: where it runs, if not here.

    Raises:
        TrialFailed: it could not be started, failed, took too long, or printed something else.
        TrialSkipped: it says that it has nothing to measure.
    """
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=directory
        )
    except OSError as error:
        raise TrialFailed(f"did not start: {error.strerror}") from error
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        raise TrialFailed(f"took more than {limit:.0f} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        raise TrialFailed(f"ended with {_status(process.returncode)}")
    return [_parse(line) for line in output.splitlines()]


def _status(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _parse(line: str) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
        if "skipped" in parsed:
            raise TrialSkipped(parsed["skipped"])
        parsed["workload"], parsed["unit"], parsed["value"] = (
            str(parsed["workload"]),
            str(parsed["unit"]),
            float(parsed["value"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        # Not in the message, which may be kept: the line can hold anything.
        print(f"no measurement: {line}", file=sys.stderr)
        raise TrialFailed("printed something that is no measurement") from error
    return dict(parsed)
