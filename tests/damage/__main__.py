"""`cargo xtask damage`: do many damages of each kind, and write down what came of them."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from damage.cases import Outcome, one_object, run_cases
from damage.objects import makers
from damage.pools import one_pool
from damage.tasks import PLACES

SHOWN = 5
"""How many faults of a kind are shown."""


def cases() -> dict[str, Callable[[str, int, Path], None]]:
    """What there is to damage, and what a case of it does."""
    pools = {f"pool, {place}": in_pool for place in PLACES}
    return {**dict.fromkeys(makers(), one_object), **pools}


def in_pool(name: str, seed: int, report: Path) -> None:
    one_pool(name.removeprefix("pool, "), seed, report)


def main() -> int:
    parser = argparse.ArgumentParser(prog="cargo xtask damage")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=cases(), default=list(cases()), metavar="KIND")
    parser.add_argument("--save", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    outcomes = []
    for name in arguments.only:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        # The workers of a pool are busy, those that use an object wait.
        at_once = 2 if name.startswith("pool") else 6
        outcome = run_cases(name, seeds, cases()[name], at_once)
        outcomes.append(outcome)
        print(line(outcome), file=sys.stderr, flush=True)
        for seed, text in outcome.faults[:SHOWN]:
            print(f"{name}, seed {seed}: {text}", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps([vars(outcome) for outcome in outcomes]))
    if arguments.save:
        save(outcomes, arguments.save)
    return int(any(outcome.faults for outcome in outcomes))


def line(outcome: Outcome) -> str:
    ends = ", ".join(f"{count} {name}" for name, count in outcome.calls.most_common())
    faults = f"{len(outcome.faults)} faults"
    return f"{outcome.name}: {outcome.cases} cases, {faults}, {outcome.seconds:.0f} s; {ends}"


def save(outcomes: list[Outcome], folder: Path) -> None:
    """Write a table of all kinds."""
    day = time.strftime("%Y-%m-%d")
    rows = [
        f"| {o.name} | {o.cases} | {len(o.faults)} | "
        + ", ".join(f"{count} {name}" for name, count in o.calls.most_common())
        + " |"
        for o in outcomes
    ]
    about = (
        f"CPython {platform.python_version()}, {platform.machine()}. Of each kind, how many cases, "
        "how many of them failed, and how the calls ended that their programs made afterwards. "
        "`cargo xtask damage --help` says what a case is."
    )
    head = [
        f"# Damage, {day}",
        "",
        about,
        "",
        "| kind | cases | faults | calls |",
        "|---|---|---|---|",
    ]
    Path(folder, f"{day}-damage.md").write_text("\n".join([*head, *rows, ""]))


if __name__ == "__main__":
    sys.exit(main())
