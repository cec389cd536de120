"""Runs a program on both sides and says what differs."""

from __future__ import annotations

from typing import Any

from fuzzer import expected, kinds
from fuzzer.compare import Difference, Verdict, differences
from fuzzer.lanes import OUR_LIMIT, PLAIN_LIMIT, Lane, Outcome, Side


def run(side: Side, program: dict[str, Any], source: str, limit: float) -> Outcome:
    """Run a program on one side."""
    return side.run(source, method=program["method"], real=program["real"], limit=limit)


def judge(lane: Lane, program: dict[str, Any], limit: float = OUR_LIMIT) -> Verdict:
    """Run a program once on each side.

    Args:
        lane: where.
        program: what.
        limit: seconds after which millpond counts as hanging, unless plain Python hangs too.
    """
    source = kinds.render(program)
    plain = run(lane.plain, program, source, PLAIN_LIMIT)
    ours = run(lane.ours, program, source, limit if plain.status is not None else PLAIN_LIMIT)
    return verdict(program, source, plain, ours)


def verdict(program: dict[str, Any], source: str, plain: Outcome, ours: Outcome) -> Verdict:
    """Sort what differs into what is promised and what is a fault."""
    faults: list[Difference] = []
    known: list[tuple[str, Difference]] = []
    found = differences(plain, ours)
    reasons = {item: expected.explain(program, item) for item in found}
    by_step = {item.step: name for item, name in reasons.items() if item.step and name}
    for difference, name in reasons.items():
        # What follows within a step from a difference that is promised.
        name = name or by_step.get(difference.step) if _follows(difference) else name
        if name is None:
            faults.append(difference)
        else:
            known.append((name, difference))
    return Verdict(program, source, plain, ours, faults, known)


def _follows(difference: Difference) -> bool:
    return difference.label.endswith((" state", " calls"))


def is_steady(lane: Lane, judged: Verdict, times: int = 2) -> bool:
    """Return whether plain Python does the same each time."""
    for _ in range(times):
        again = run(lane.plain, judged.program, judged.source, PLAIN_LIMIT)
        if differences(judged.plain, again):
            return False
    return True
