"""Memory control groups: want of memory is an error, where the kernel would kill a process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_programs import start_fault_program

LIMIT = 256 << 20


@pytest.fixture
def group() -> Iterator[Path]:
    """A group without a limit of its own, inside of one that has one."""
    root, file = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    if not root.is_dir():
        root, file = Path("/sys/fs/cgroup"), "memory.max"
    outer = root / f"millpond-test-{os.getpid()}"
    inner = outer / "inner"
    try:
        try:
            inner.mkdir(parents=True)
            if file == "memory.max":
                (outer / "cgroup.subtree_control").write_text("+memory")
            (outer / file).write_text(str(LIMIT))
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        yield inner
    finally:
        for directory in (inner, outer):
            while directory.is_dir():
                try:
                    directory.rmdir()
                except OSError:
                    # The last process is gone, and the kernel does not know it yet.
                    time.sleep(0.01)


def test_the_owner_is_not_killed(group: Path) -> None:
    with start_fault_program("want_group_memory", group) as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "put True",
        "result MaybeEncodingError",
        "next 3",
        "argument MemoryError",
        "next 3",
    ]
