"""The benchmark `primitives`: locks, values, queues and pipes beside the stdlib's and other peers'.

`cargo xtask bench primitives [--rounds N] [--quick] [--rows NAME…] [--save]`. README.md tells how
it is measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from _primitives.library import BILLIARD, FASTER_FIFO, OURS, STDLIB
from _primitives.rows import ROWS, Row
from harness import chart, kept, machine, report, rust
from harness.comparison import Comparison, Series, figures
from harness.trial import TrialFailed, TrialSkipped, run_trial

HERE = Path(__file__).resolve().parent
LEAST_ROUNDS = 5
# In seconds, for one measurement; the slowest takes three on an idle machine.
LIMIT = 45
RUST_ROW = "rust"
RUST = rust.RustPart(
    "bench_primitives",
    "ipc-channel",
    {"round trip p50": 20, "u64, one way": 20, "4 MB of bytes": 3},
)

# Of each round: by row, then by library. A measurement that failed or was skipped says why.
Round = dict[str, dict[str, dict[str, Any]]]


def main() -> int:
    arguments = parse_arguments()
    facts = machine.facts(HERE.parent)
    rows = [row for row in ROWS if row.name in arguments.rows]
    rounds: list[Round] = []
    for number in range(1, arguments.rounds + 1):
        rounds.append(measure_round(f"round {number}/{arguments.rounds}", rows, rounds, arguments))
    tables = tables_of(rows, rounds)
    rust_rows = []
    if RUST_ROW in arguments.rows:
        rust_rows = measure_rust(tables, quick=arguments.quick)
    processes = "2 processes unless a row says more"
    conditions = report.conditions(facts, arguments.rounds, processes)
    if arguments.quick:
        conditions += " A quick run, a quarter of the work: no figures to quote."
    judged = [compare(row, STDLIB, rounds) for row in rows] + rust_rows
    notes = [*shares(rounds), *idle_costs(rounds), report.tally(judged)]
    text = "\n\n".join([conditions, *tables, *notes]) + "\n"
    print(text, end="")
    failed = any(row.ours is None and not row.skipped for row in judged)
    if arguments.save and failed:
        progress("not saved: millpond failed at a workload")
    elif arguments.save:
        date = kept.today()
        raw = {
            "date": date,
            "machine": facts,
            "rounds": rounds,
            "rust": [raw_values(row) for row in rust_rows],
        }
        picture = chart.draw(judged, facts, date, "primitives")
        kept.keep("primitives", date, raw, text, picture)
    return int(failed)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask bench primitives", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of each measurement; 5, or 2 when quick")
    parser.add_argument("--quick", action="store_true", help="a quarter of the work: does it run?")
    parser.add_argument("--save", action="store_true", help="write the run to benchsuite/runs/")
    names = [*(row.name for row in ROWS), RUST_ROW]
    parser.add_argument(
        "--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 2 if arguments.quick else LEAST_ROUNDS
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    whole = arguments.rows == names and not arguments.quick
    if arguments.save and (not whole or arguments.rounds < LEAST_ROUNDS):
        parser.error(f"--save keeps full runs of at least {LEAST_ROUNDS} rounds")
    return arguments


def measure_round(
    label: str, rows: list[Row], earlier: list[Round], arguments: argparse.Namespace
) -> Round:
    """Every row with each library in turn: what changes while the run lasts meets all alike."""
    measured: Round = {}
    for row in rows:
        measured[row.name] = {}
        for library in row.libraries:
            before = earlier[-1][row.name][library] if earlier else {}
            if "value" in before or not before:
                value = measure(row, library, quick=arguments.quick)
                progress(f"{label}  {row.title}  {library}: {told(value)}")
            else:
                # One failure decides; a hung peer shall not cost its limit in every round.
                value = before
            measured[row.name][library] = value
    return measured


def measure(row: Row, library: str, *, quick: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "_primitives", library, row.workload]
    command += ["--quick"] * quick + ["--busy"] * row.busy
    try:
        lines = run_trial(command, LIMIT, directory=HERE)
    except TrialFailed as failure:
        return {"failed": str(failure)}
    except TrialSkipped as reason:
        return {"skipped": str(reason)}
    return lines[0] if len(lines) == 1 else {"failed": f"printed {len(lines)} measurements"}


def told(value: dict[str, Any]) -> str:
    if "value" in value:
        return f"{figures(value['value'])} {value['unit']}"
    if "failed" in value:
        return f"FAILED, {value['failed']}"
    return f"skipped, {value['skipped']}"


def tables_of(rows: list[Row], rounds: list[Round]) -> list[str]:
    """A table for each peer. The targets are set against the stdlib."""
    tables = []
    for peer in (STDLIB, FASTER_FIFO, BILLIARD):
        compared = [compare(row, peer, rounds) for row in rows if peer in row.libraries]
        if compared:
            tables.append(report.table(compared))
    return tables


def compare(row: Row, peer: str, rounds: list[Round]) -> Comparison:
    skipped = rounds[-1][row.name][OURS].get("skipped")
    with_targets = peer == STDLIB
    return Comparison(
        row.title,
        "stdlib" if peer == STDLIB else peer,
        series(row, peer, rounds),
        series(row, OURS, rounds),
        row.least_ratio if with_targets else None,
        row.most if with_targets else None,
        skipped=skipped,
    )


def series(row: Row, library: str, rounds: list[Round]) -> Series | None:
    """A library that failed in one round failed: the rounds that it survived prove nothing."""
    values = [measured[row.name][library] for measured in rounds]
    if not all("value" in value for value in values):
        return None
    return Series(tuple(value["value"] for value in values), values[0]["unit"])


def measure_rust(tables: list[str], *, quick: bool) -> list[Comparison]:
    progress("Rust: building and running its part")
    arguments = ("--quick",) if quick else ()
    part = rust.RustPart(RUST.example, RUST.peer, RUST.targets, arguments)
    try:
        rows = rust.measure(HERE.parent, part)
    except rust.NoRustPart as reason:
        tables.append(f"No figures of the Rust crate: {reason}.")
        return []
    tables.append(report.table(rows))
    return rows


def shares(rounds: list[Round]) -> list[str]:
    """Who starves: the least share that one of two contending processes got in any round."""
    least: dict[str, float] = {}
    for measured in rounds:
        for library, value in measured.get("lock_contended", {}).items():
            if "share" in value:
                least[library] = min(value["share"], least.get(library, 1.0))
    if not least:
        return []
    told = ", ".join(f"{library} {share:.0%}" for library, share in least.items())
    return [f"Contended lock, the smaller share of the two processes at its least: {told}."]


def idle_costs(rounds: list[Round]) -> list[str]:
    """What each idle wait of a second cost, the most of all rounds."""
    most: dict[str, dict[str, float]] = {}
    for measured in rounds:
        for library, value in measured.get("idle", {}).items():
            for wait, cost in value.get("each", {}).items():
                costs = most.setdefault(library, {})
                costs[wait] = max(cost, costs.get(wait, 0.0))
    return [
        f"CPU time of a wait of one second at its most, {library}: "
        + ", ".join(f"{wait} {figures(cost)} ms" for wait, cost in costs.items())
        + "."
        for library, costs in most.items()
    ]


def raw_values(row: Comparison) -> dict[str, Any]:
    sides = ((row.peer_name, row.peer), (OURS, row.ours))
    return {
        "workload": row.title,
        **{name: {"values": side.values, "unit": side.unit} for name, side in sides if side},
    }


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
