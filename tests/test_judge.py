"""The judge of CPython's own tests (`tests/conformance`) judges what it is to judge."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conformance import differences, prefix, proof
from conformance import suite as suites
from conformance.__main__ import _is_worse
from conformance.suite import Outcome, Patience, Suite

TEST = "millpond_judge_fork.TestInvalidHandle"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test._test_multiprocessing") is None,
    reason="this CPython was installed without its tests",
)


@pytest.fixture(scope="module")
def interpreter() -> prefix.Interpreter:
    return prefix.Interpreter.ask(sys.executable)


def run(python: Path, work: Path) -> Suite:
    suite = Suite(python, "fork", work, 60.0)
    outcomes = suite.run({TEST: ["test_invalid_handles"]}, 1, lambda name: None)
    assert outcomes == {f"{TEST}.test_invalid_handles": Outcome("passed")}
    return suite


def test_the_swap_is_proven(interpreter: prefix.Interpreter, tmp_path: Path) -> None:
    suite = run(prefix.build(interpreter, tmp_path / "prefix"), tmp_path / "work")
    assert list(proof.doubts(suite, [TEST], ours=True)) == []
    doubts = list(proof.doubts(suite, [TEST], ours=False))
    assert len(doubts) == 2 and all("Lock, RLock, " in doubt for doubt in doubts)


def test_a_run_without_the_candidate_fails(
    interpreter: prefix.Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even from a directory that has the name of the candidate."""
    monkeypatch.setattr(prefix, "_INSTALL", "")
    python = prefix.build(interpreter, tmp_path / "millpond" / "prefix")
    suite = run(python, tmp_path / "millpond" / "work")
    assert list(proof.doubts(suite, [TEST], ours=False)) == []
    doubts = list(proof.doubts(suite, [TEST], ours=True))
    assert len(doubts) == 5
    assert all("Lock" in doubt and "are the standard library's" in doubt for doubt in doubts)


def test_no_answer_is_no_proof(tmp_path: Path) -> None:
    suite = Suite(Path("/bin/false"), "fork", tmp_path, 60.0)
    assert len(list(proof.doubts(suite, [TEST], ours=True))) == 5


LITTER = """
import threading, time, unittest
class TestLitter(unittest.TestCase):
    def test_a(self):
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        self.fail("leaves a thread")
    def test_b(self):
        self.assertEqual(threading.active_count(), 1)
    def test_c(self):
        self.assertEqual(threading.active_count(), 1)
"""


@pytest.fixture
def litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    monkeypatch.setattr("conformance.suite._JUDGE", LITTER + "# {method!r}\n")
    return {"millpond_judge_fork.TestLitter": ["test_a", "test_b", "test_c"]}


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_listed_runs_alone(
    interpreter: prefix.Interpreter, tmp_path: Path, litter: dict[str, list[str]], alone: bool
) -> None:
    def listed(test: str) -> bool:
        return alone and test.endswith("test_a")

    suite = Suite(interpreter.executable, "fork", tmp_path, 60.0, listed)
    outcomes = suite.run(litter, 1, lambda name: None)
    rest = "passed" if alone else "failed"
    assert [outcomes[f"{next(iter(litter))}.test_{name}"].kind for name in "abc"] == [
        "failed",
        rest,
        rest,
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "worse"),
    [
        ("passed", "passed", False),
        ("passed", "failed", False),
        ("failed", "passed", True),
        ("hung", "skipped", True),
        ("error", "failed", False),
        ("skipped", "skipped", False),
        ("skipped", "passed", True),
        ("skipped", "unknown", False),
        ("crashed", "unknown", True),
    ],
)
def test_what_is_worse(ours: str, theirs: str, worse: bool) -> None:
    assert _is_worse(Outcome(ours), Outcome(theirs)) is worse


def test_who_starts_processes_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    now, processes = 0.0, frozenset({1})
    monkeypatch.setattr(suites, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(suites, "members", lambda _: processes)
    patience = Patience(10.0, 1)
    for number in range(5):
        now, processes = now + 11, frozenset({1, number + 2})
        assert not patience.is_over()
    now += 9
    assert not patience.is_over()
    now += 2
    assert patience.is_over()
    patience.renew()
    assert not patience.is_over()
    # But not for ever.
    now, processes = now + 101, frozenset({1})
    assert patience.is_over()


def test_the_processes_of_a_session_are_known() -> None:
    source = "import os, sys; print(flush=True); os.fork(); sys.stdin.read()"
    command = [sys.executable, "-c", source]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, start_new_session=True, **pipes) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while len(members := suites.members(child.pid)) < 2:
            os.sched_yield()
        assert child.pid in members
        assert os.getpid() not in members


def test_at_most_four_tests_differ() -> None:
    methods = {name.rpartition(".")[2] for name in differences.EXPECTED}
    assert len(methods) <= 4
    assert all(differences.reason("forkserver", f"module.{test}") for test in differences.EXPECTED)
    assert differences.reason("fork", "module.TestIgnoreEINTR.test_ignore") is None


def test_what_differs_is_documented() -> None:
    page = Path(__file__).parents[1].joinpath("COMPATIBILITY.md").read_text()
    for test in differences.EXPECTED:
        assert test.rpartition(".")[2] in page
