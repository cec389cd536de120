"""What differs between the two outcomes of a program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from fuzzer.lanes import Outcome

ABSENT = "(nothing)"
HANGS = "(hangs)"

# The last line of a traceback, and of a warning.
_ERROR = re.compile(
    r"^(?:.*: )?((?:\w+\.)*\w*(?:Error|Exception|Warning|Exit|Interrupt|Crashed)\b.*)"
)


@dataclass(frozen=True)
class Difference:
    """A line of output that is another one on millpond."""

    label: str
    plain: str
    ours: str

    @property
    def step(self) -> str:
        """The number of the step that printed the line, if one did."""
        number = self.label.split(" ", 1)[0]
        return number if number.isdigit() else ""

    @property
    def signature(self) -> tuple[str, str, str]:
        """What does not change when the program is made smaller."""
        kind = re.sub(r"\d+", "", self.label).strip()
        return kind, _category(self.plain), _category(self.ours)


def differences(plain: Outcome, ours: Outcome) -> list[Difference]:
    """Compare line by line, and then how both ended."""
    pairs = zip_longest(_lines(plain), _lines(ours), fillvalue=None)
    found = []
    for theirs, mine in pairs:
        if theirs == mine:
            continue
        label, their_text = _split(theirs)
        other, my_text = _split(mine)
        if label == other and _is_same_misuse(their_text, my_text):
            continue
        if label and other and label != other:
            # One side has a line more: what follows would be compared with the wrong lines.
            found.append(Difference(label, their_text, f"{other}: {my_text}"))
            break
        found.append(Difference(label or other, their_text, my_text))
    noise = sorted(_errors(ours.stderr) - _errors(plain.stderr))
    if noise and plain.status is not None:
        found.append(Difference("stderr", "no such line", "; ".join(noise)))
    if ours.left and ours.status is not None:
        found.append(Difference("left behind", "nothing", "; ".join(ours.left)))
    return found


def _is_same_misuse(theirs: str, mine: str) -> bool:
    """Whether both refuse a call in their own words; what a worker raised has the same words."""
    if "RemoteTraceback" in theirs + mine:
        return False
    refusal = re.compile(
        r"""(?:\["|\[')?raised ((?:TypeError|AttributeError)\(|OverflowError\(|OSError\(22,)"""
    )
    kinds = [match and match[1] for match in map(refusal.match, (theirs, mine))]
    return kinds[0] is not None and kinds[0] == kinds[1]


def line_count(outcome: Outcome) -> int:
    """How many lines of an outcome are compared."""
    return len(_lines(outcome))


def _lines(outcome: Outcome) -> list[str]:
    lines = outcome.stdout.splitlines()
    # Threads that live on print these, at any time.
    lines.sort(key=lambda line: line.startswith("late: "))
    return [*lines, f"exit: {HANGS if outcome.status is None else outcome.status}"]


def _errors(text: str) -> set[str]:
    # Where what is kept of the output ends depends on what was printed before.
    found = {match[1][:200] for line in text.splitlines() if (match := _ERROR.match(line))}
    chance = r" at 0x[0-9a-f]+|/[^' ]*/differential-\w+/|pid=\d+"
    return {re.sub(chance, "", item) for item in found}


def _split(line: str | None) -> tuple[str, str]:
    if line is None:
        return "", ABSENT
    label, separator, text = line.partition(": ")
    return (label, text) if separator else ("", line)


def _category(text: str) -> str:
    raised = re.match(r"raised (?:<class )?(?:another )?([\w.]+)", text)
    if raised:
        return f"raised {raised[1]}"
    return text if text in (ABSENT, HANGS) else "a value"


@dataclass
class Verdict:
    """What comparing a program once has shown."""

    program: dict[str, Any]
    source: str
    plain: Outcome
    ours: Outcome
    faults: list[Difference]
    expected: list[tuple[str, Difference]]
