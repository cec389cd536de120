"""The benchmark `pool`: millpond's pool against the stdlib's, and the crate's against procspawn.

`cargo xtask bench pool [--rounds N] [--quick] [--save]`. README.md tells how it is measured.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import chart, kept, machine, report, rust
from harness.comparison import Comparison, Series, figures
from harness.trial import TrialFailed, run_trial

HERE = Path(__file__).resolve().parent
LEAST_ROUNDS = 5
# In seconds, for one measurement; the slowest takes a few.
LIMIT = 120

STDLIB = "multiprocessing"
LIBRARIES = (STDLIB, "millpond")


@dataclass(frozen=True)
class Row:
    """A workload of _pool_workloads.py, as the report shows and judges it."""

    workload: str
    title: str
    least_ratio: float | None = None
    most: float | None = None


ROWS = (
    Row("start_fork", "start, first result, shutdown: fork", 1),
    Row("start_spawn", "start, first result, shutdown: spawn", 1),
    Row("map_default", "map, 200,000 calls", 1),
    Row("map_one_by_one", "map, 20,000 calls, chunksize=1", 5),
    Row("imap_unordered", "imap_unordered, 20,000 calls", 5),
    Row("apply_async", "apply_async + get, 20,000 calls", 5),
    Row("apply", "apply, round trip p50, a core free", 8),
    Row("apply_busy", "apply, round trip p50, all cores busy", 1.5),
    Row("arrays_in", "8 MB arrays in, one by one", 4),
    Row("arrays_out", "8 MB arrays out, one by one", 3),
    # One hundredth of a core.
    Row("idle", "CPU time of an idle pool in 2 s", most=20),
)

RUST = rust.RustPart("bench_pool", "procspawn", {"apply p50": 8.0, "apply one by one": 20.0})

# Of each round: by workload, then by library; None where the measurement failed.
Round = dict[str, dict[str, dict[str, Any] | None]]


def main() -> int:
    arguments = parse_arguments()
    facts = machine.facts(HERE.parent)
    rounds = [
        measure_round(number, arguments.rounds, arguments.quick)
        for number in range(1, arguments.rounds + 1)
    ]
    rows = [compare(row, rounds) for row in ROWS]
    tables = [report.table(rows)]
    try:
        progress("Rust: building and running its part")
        rust_rows = rust.measure(HERE.parent, RUST)
        tables.append(report.table(rust_rows))
    except rust.NoRustPart as reason:
        rust_rows = []
        tables.append(f"No figures of the Rust crate: {reason}.")
    every_row = rows + rust_rows
    notes = [*first_pools(rounds), report.tally(every_row)]
    conditions = report.conditions(facts, arguments.rounds)
    if arguments.quick:
        conditions += " A quick run, a quarter of the work: no figures to quote."
    text = "\n\n".join([conditions, *tables, *notes]) + "\n"
    print(text, end="")
    failed = any(row.failed for row in every_row)
    if arguments.save and failed:
        progress("not saved: a workload failed")
    elif arguments.save:
        save(text, facts, rounds, every_row)
    return int(failed)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask bench pool", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of each measurement; 5, or 2 when quick")
    parser.add_argument("--quick", action="store_true", help="a quarter of the work: does it run?")
    parser.add_argument("--save", action="store_true", help="write the run to benchsuite/runs/")
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 2 if arguments.quick else LEAST_ROUNDS
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if arguments.save and (arguments.quick or arguments.rounds < LEAST_ROUNDS):
        parser.error(f"--save keeps full runs of at least {LEAST_ROUNDS} rounds")
    return arguments


def measure_round(number: int, of: int, quick: bool) -> Round:
    """Every workload with one library, then at once with the other: drift meets both alike."""
    measured: Round = {}
    for row in ROWS:
        measured[row.workload] = {}
        for library in LIBRARIES:
            what = f"round {number}/{of}  {row.title}  {library}"
            try:
                value = measure(library, row.workload, quick)
                progress(f"{what}: {figures(value['value'])} {value['unit']}")
            except TrialFailed as failure:
                value = None
                progress(f"{what}: FAILED, {failure}")
            measured[row.workload][library] = value
    return measured


def measure(library: str, workload: str, quick: bool) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "_pool_workloads.py"), library, workload]
    lines = run_trial([*command, "--quick"] if quick else command, LIMIT)
    if len(lines) != 1:
        raise TrialFailed(f"printed {len(lines)} measurements")
    return lines[0]


def compare(row: Row, rounds: list[Round]) -> Comparison:
    peer, ours = (series(row.workload, library, rounds) for library in LIBRARIES)
    return Comparison(row.title, "stdlib", peer, ours, row.least_ratio, row.most)


def series(workload: str, library: str, rounds: list[Round], key: str = "value") -> Series | None:
    """A library that failed in one round failed: the rounds that it survived prove nothing."""
    values = [measured[workload][library] for measured in rounds]
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        return None
    return Series(tuple(value[key] for value in present), present[0]["unit"])


def first_pools(rounds: list[Round]) -> list[str]:
    """What the report says on the first pool of a process, which the table leaves out."""
    notes = []
    for method in ("fork", "spawn"):
        peer, ours = (series(f"start_{method}", library, rounds, "first") for library in LIBRARIES)
        if peer and ours:
            notes.append(f"The first {method} pool of a process: stdlib {peer}, millpond {ours}.")
    return notes


def save(text: str, facts: dict[str, Any], rounds: list[Round], rows: list[Comparison]) -> None:
    date = kept.today()
    raw = {
        "date": date,
        "machine": facts,
        "rounds": rounds,
        "rust": [
            {
                "workload": row.title,
                "procspawn": values_of(row.peer),
                "millpond": values_of(row.ours),
            }
            for row in rows
            if row.peer_name == RUST.peer
        ],
    }
    kept.keep("pool", date, raw, text, chart.draw(rows, facts, date, "pool"))


def values_of(series: Series | None) -> dict[str, Any] | None:
    return None if series is None else {"values": series.values, "unit": series.unit}


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
