"""Programs that run where `/dev/shm` has room for next to nothing.

    from support.small_shm import needs_small_shm, with_small_shm

    @needs_small_shm
    def test_queue() -> None:
        done = run_program(with_small_shm([sys.executable, "-c", PROGRAM]))

A program runs in a mount namespace of its own, in which a file system of 64 KiB is mounted over
`/dev/shm`. That takes root, or a kernel that gives its users namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

import pytest

_MOUNT = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'


@cache
def _unshare() -> tuple[str, ...] | None:
    """The command that makes such a namespace; None where that is not permitted."""
    if shutil.which("unshare") is None:
        return None
    for options in ((), ("--user", "--map-root-user")):
        command = ("unshare", *options, "--mount", "sh", "-c", _MOUNT, "sh")
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return None


needs_small_shm = pytest.mark.skipif(
    _unshare() is None, reason="mounting a small /dev/shm is not permitted here"
)


def with_small_shm(argv: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the command that runs a program under a `/dev/shm` of 64 KiB."""
    command = _unshare()
    assert command is not None
    return [*command, *(os.fspath(word) for word in argv)]
