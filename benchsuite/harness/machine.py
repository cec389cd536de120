"""Facts about the machine and the software that figures depend on; nothing that names a host."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any


def facts(project: Path) -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "millpond": _version("millpond"),
        "numpy": _version("numpy"),
        "commit": _commit(project),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.machine()


def _version(module: str) -> str:
    return str(import_module(module).__version__)


def _commit(project: Path) -> str | None:
    """The commit, with a `+` where tracked files differ from it; None without git."""
    commit = _git(project, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    # The pictures and figures of a run are no change of what was measured.
    changed = _git(
        project, "status", "--porcelain", "-uno", "--", ".", ":!benchsuite/runs", ":!*.md"
    )
    return f"{commit}+" if changed or changed is None else commit


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
