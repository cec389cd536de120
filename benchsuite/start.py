"""The benchmark `start`: how long pools take to begin where they do not fork the program.

`cargo xtask bench start [--rounds N] [--save]`. README.md tells how it is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from harness import chart, kept, machine, report
from harness.comparison import Comparison, Series, figures
from harness.trial import TrialFailed, run_trial

HERE = Path(__file__).resolve().parent
LEAST_ROUNDS = 5
# In seconds, for one measurement; the slowest takes some ten.
LIMIT = 120

STDLIB = "multiprocessing"
LIBRARIES = (STDLIB, "millpond")
POOLS = {"first": "first", "later": "value"}
"""What a measurement calls the figures."""


@dataclass(frozen=True)
class Program:
    """A program that makes pools."""

    method: str
    main_seconds: float
    workers: int

    def title(self, pool: str) -> str:
        main = f"main of {self.main_seconds} s" if self.main_seconds else "light main"
        return f"{self.method}, {main}, {self.workers} workers, {pool} pool"

    def least_ratio(self) -> float:
        return 1.5 if self.method == "spawn" and self.workers == 8 else 1


PROGRAMS = [Program(*each) for each in product(("spawn", "forkserver"), (0.0, 0.3), (2, 8))]

# By program, then by library; None where the measurement failed.
Round = dict[Program, dict[str, dict[str, float] | None]]


def main() -> int:
    arguments = parse_arguments()
    facts = machine.facts(HERE.parent)
    rounds = [measure_round(number, arguments.rounds) for number in range(1, arguments.rounds + 1)]
    rows = [compare(program, pool, rounds) for program in PROGRAMS for pool in POOLS]
    conditions = report.conditions(facts, arguments.rounds)
    text = "\n\n".join([conditions, report.table(rows), report.tally(rows)]) + "\n"
    print(text, end="")
    failed = any(row.failed for row in rows)
    if arguments.save and failed:
        progress("not saved: a measurement failed")
    elif arguments.save:
        save(text, facts, rounds, rows)
    return int(failed)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="of each measurement; 5")
    parser.add_argument("--save", action="store_true", help="write the run to benchsuite/runs/")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if arguments.save and arguments.rounds < LEAST_ROUNDS:
        parser.error(f"--save keeps runs of at least {LEAST_ROUNDS} rounds")
    return arguments


def measure_round(number: int, of: int) -> Round:
    """Every program with one library, then at once with the other: drift meets both alike."""
    measured: Round = {}
    for program in PROGRAMS:
        measured[program] = {}
        for library in LIBRARIES:
            what = f"round {number}/{of}  {program.title('each')}  {library}"
            try:
                value = measure(library, program)
                each = (f"{pool} {figures(value[key])} ms" for pool, key in POOLS.items())
                progress(f"{what}: {', '.join(each)}")
            except TrialFailed as failure:
                value = None
                progress(f"{what}: FAILED, {failure}")
            measured[program][library] = value
    return measured


def measure(library: str, program: Program) -> dict[str, Any]:
    os.environ["MAIN_SECONDS"] = str(program.main_seconds)
    script = str(HERE / "_start_workloads.py")
    command = [sys.executable, script, library, program.method, str(program.workers)]
    lines = run_trial(command, LIMIT)
    if len(lines) != 1:
        raise TrialFailed(f"printed {len(lines)} measurements")
    return lines[0]


def compare(program: Program, pool: str, rounds: list[Round]) -> Comparison:
    peer, ours = (series(program, library, pool, rounds) for library in LIBRARIES)
    return Comparison(program.title(pool), "stdlib", peer, ours, program.least_ratio(), None)


def series(program: Program, library: str, pool: str, rounds: list[Round]) -> Series | None:
    """A library that failed in one round failed: the rounds that it survived prove nothing."""
    values = [measured[program][library] for measured in rounds]
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        return None
    return Series(tuple(value[POOLS[pool]] for value in present), "ms")


def save(text: str, facts: dict[str, Any], rounds: list[Round], rows: list[Comparison]) -> None:
    date = kept.today()
    named = [{p.title("each"): value for p, value in measured.items()} for measured in rounds]
    raw = {"date": date, "machine": facts, "rounds": named}
    kept.keep("start", date, raw, text, chart.draw(rows, facts, date, "start"))


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
