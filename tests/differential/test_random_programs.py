"""Random programs do the same on millpond as on the standard library, or what is promised."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzer import expected, kinds, report
from fuzzer.campaign import Campaign
from fuzzer.compare import HANGS, differences
from fuzzer.judge import verdict
from fuzzer.lanes import Lane

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = 300


# Since CPython 3.14 the exceptions of pickle note where in the pool's own tuples and lists an
# object was, which the rules do not know.
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the rules know older words of pickle")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_programs_do_the_same() -> None:
    findings = Campaign(range(1, PROGRAMS + 1), "import", lanes=4, seconds=None).run(
        shrinking=False
    )
    assert not findings.faults and not findings.unsteady, report.text(
        findings, way="import", seed=1
    )
    assert findings.kinds.total() == PROGRAMS


@pytest.mark.parametrize("rule", expected.RULES, ids=lambda rule: rule.name)
def test_a_rule_quotes_what_is_promised(rule: expected.Rule) -> None:
    words = " ".join((ROOT / "COMPATIBILITY.md").read_text().split())
    assert rule.promise in words
    assert rule.promise or rule.note, "a known fault says what it is"


def test_a_seed_is_a_program() -> None:
    for seed in range(200):
        program = kinds.generate(seed)
        assert program == kinds.generate(seed)
        compile(kinds.render(program), "program", "exec")


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    lane = Lane("import")
    yield lane
    lane.close()


PROGRAM = """
import os, time
from outcome import PATIENCE, say, show, way
say("both", "the same")
show("0 value", lambda: {value})
{end}
"""


def labels(lane: Lane, value: str = "1", end: str = "", limit: float = 20.0) -> list[str]:
    source = PROGRAM.format(value=value, end=end)
    plain, ours = (side.run(source, limit=limit) for side in (lane.plain, lane.ours))
    program = {"kind": "none", "steps": []}
    return [difference.label for difference in verdict(program, source, plain, ours).faults]


def test_what_is_the_same_is_no_fault(lane: Lane) -> None:
    assert labels(lane, "sorted({'b', 'a'})") == []


def test_another_value_is_a_fault(lane: Lane) -> None:
    assert labels(lane, "way") == ["0 value"]


def test_another_exception_is_a_fault(lane: Lane) -> None:
    assert labels(lane, "[][0] if way == 'plain' else {}[0]") == ["0 value"]


def test_another_exit_status_is_a_fault(lane: Lane) -> None:
    assert labels(lane, end="raise SystemExit(way != 'plain')") == ["exit"]


def test_noise_is_a_fault(lane: Lane) -> None:
    noise = "import sys; way == 'plain' or sys.stderr.write('ResourceWarning: noise\\n')"
    assert labels(lane, end=noise) == ["stderr"]


def test_a_process_that_is_left_is_a_fault_and_is_killed(lane: Lane) -> None:
    end = "if way != 'plain' and os.fork() == 0: os.setsid(); time.sleep(1000)"
    assert labels(lane, end=end) == ["left behind"]


def test_a_hang_is_a_fault(lane: Lane) -> None:
    assert labels(lane, end="if way != 'plain': time.sleep(1000)", limit=2.0) == ["exit"]


def test_who_hangs_is_told(lane: Lane) -> None:
    source = PROGRAM.format(value=1, end="time.sleep(1000)")
    outcome = lane.plain.run(source, limit=1.0)
    assert outcome.status is None
    assert "in <module>" in outcome.stderr
    done = lane.plain.run(PROGRAM.format(value=1, end=""), limit=20.0)
    assert [item.plain for item in differences(outcome, done)] == [HANGS]
