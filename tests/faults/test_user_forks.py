"""Programs that fork by hand while a pool is alive: neither side hangs or is harmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_programs import start_fault_program

VALUES = "[0, 2, 4]"

SAID_BY_THE_CHILD = {
    "child does nothing": ["0"],
    "child exits by sys.exit": ["4"],
    "child leaves with": ["0"],
    "child makes a pool": [VALUES, "0"],
    "child makes a pool and exits by sys.exit": [VALUES, "4"],
    "many children": [str([0] * 20)],
}

REFUSED = [
    "child calls map",
    "child calls apply_async",
    "child calls imap",
    "child waits for a result of the parent",
    "a process of the library uses it",
]


@pytest.mark.parametrize("what", SAID_BY_THE_CHILD)
def test_both_sides_go_on(start_method: str, what: str, tmp_path: Path) -> None:
    with start_fault_program("fork_with_pool", start_method, what, tmp_path / "gate") as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [VALUES, *SAID_BY_THE_CHILD[what], VALUES]


@pytest.mark.parametrize("what", REFUSED)
def test_the_pool_of_the_parent_is_refused_in_the_child(
    start_method: str, what: str, tmp_path: Path
) -> None:
    with start_fault_program("fork_with_pool", start_method, what, tmp_path / "gate") as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    first, refusal, code, last = done.stdout.splitlines()
    assert (first, code, last) == (VALUES, "0", VALUES)
    assert refusal.startswith("refused: WrongProcess: ")
    assert "cannot be used in a forked child; create a new" in refusal
