"""`python -m chaos [--kills N] [--seed S] [--only NAME…] [--rust PROGRAM] [--save DIRECTORY]`."""

from __future__ import annotations

import argparse
import datetime
import faulthandler
import json
import os
import platform
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import millpond
from chaos import channels, locks, peers, pools, waiting
from chaos.scenario import Outcome, Scenario, perform

SCENARIOS: tuple[type[Scenario], ...] = (
    locks.LockScenario,
    locks.RLockScenario,
    locks.ValueScenario,
    locks.SemaphoreScenario,
    locks.BoundedSemaphoreScenario,
    waiting.ConditionScenario,
    waiting.ConditionOnLockScenario,
    waiting.EventScenario,
    waiting.BarrierScenario,
    channels.QueueScenario,
    channels.QueueManyScenario,
    channels.SimpleQueueScenario,
    channels.JoinableQueueScenario,
    channels.PipeScenario,
    peers.PeersScenario,
    pools.PoolScenario,
)

# In seconds. Should the director itself hang, its stacks are shown and the run ends.
DIRECTOR_LIMIT = 600


def main() -> int:
    arguments = parse_arguments()
    chosen = [kind for kind in SCENARIOS if kind.name in arguments.only]
    began = time.monotonic()
    outcomes: list[Outcome] = []
    rust: list[str] = []
    kills, rust_failed = arguments.kills, False
    if arguments.rust:
        kills = kills // 2
        rust, rust_failed = run_in_rust(arguments.rust, arguments.kills - kills, arguments.seed)
    for number, kind in enumerate(chosen):
        left = kills - sum(outcome.kills for outcome in outcomes)
        share = left // (len(chosen) - number)
        outcomes.append(run(kind, share, arguments.seed))
    text = "\n".join([*rust, report(outcomes, time.monotonic() - began, arguments.seed)])
    print(text)
    if arguments.save:
        save(arguments.save, text, outcomes, arguments.seed)
    return int(rust_failed or not all(outcome.is_good for outcome in outcomes))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask chaos", description=__doc__)
    names = [kind.name for kind in SCENARIOS]
    parser.add_argument("--kills", type=int, default=1_000, help="in all; 1000 by default")
    parser.add_argument("--seed", type=int, default=1, help="decides who is killed, and when")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--save", type=Path, metavar="DIRECTORY", help="for JSON and a report")
    parser.add_argument(
        "--rust",
        type=Path,
        metavar="PROGRAM",
        help="the crate's example `chaos`: half of the kills",
    )
    return parser.parse_args()


def run_in_rust(program: Path, kills: int, seed: int) -> tuple[list[str], bool]:
    """What the Rust half reports, and whether it failed."""
    command = [str(program), "--kills", str(kills), "--seed", str(seed)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            lines.append(line.rstrip())
    return lines, process.returncode != 0


def run(kind: type[Scenario], kills: int, seed: int) -> Outcome:
    shown = 0.0

    def told(so_far: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 2:
            shown = time.monotonic()
            print(f"{kind.name}: {so_far} of {kills} kills", file=sys.stderr, flush=True)

    faulthandler.dump_traceback_later(DIRECTOR_LIMIT, exit=True)
    outcome = perform(kind, kills, random.Random(f"{seed} {kind.name}"), told)
    faulthandler.cancel_dump_traceback_later()
    print(line_of(outcome), file=sys.stderr, flush=True)
    return outcome


def line_of(outcome: Outcome) -> str:
    if outcome.skipped:
        return f"{outcome.name}: skipped, {outcome.skipped}"
    remarks = "".join(f", {count:,} {what}" for what, count in outcome.remarks.items())
    verdict = "ok" if outcome.is_good else f"FAILED: {'; '.join(outcome.faults)}"
    return (
        f"{outcome.name}: {outcome.kills:,} kills, {outcome.operations:,} operations{remarks}; "
        f"{verdict} ({outcome.seconds:.1f} s)"
    )


def report(outcomes: list[Outcome], seconds: float, seed: int) -> str:
    def total(key: str) -> int:
        return sum(getattr(outcome, key) for outcome in outcomes)

    lines = [line_of(outcome) for outcome in outcomes]
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    lines.append(
        f"Python, seed {seed}: {total('kills'):,} kills in {seconds:.0f} s: "
        f"{total('hangs')} hangs, {total('lost')} lost, {total('doubled')} doubled, "
        f"{total('leaked')} leaked, {sum(len(outcome.faults) for outcome in outcomes)} faults, "
        f"{skipped} scenarios skipped"
    )
    return "\n".join(lines)


def save(directory: Path, text: str, outcomes: list[Outcome], seed: int) -> None:
    directory.mkdir(exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    raw: dict[str, Any] = {
        "date": date,
        "seed": seed,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "millpond": millpond.__version__,
        "scenarios": [vars(outcome) for outcome in outcomes],
        "report": text.splitlines(),
    }
    place = f"{raw['cores']} cores, Linux {raw['kernel']}, CPython {raw['python']}"
    head = f"# Chaos, {date}\n\n{place}, millpond {raw['millpond']}.\n\n"
    files = {
        f"{date}-chaos.json": json.dumps(raw, indent=1) + "\n",
        f"{date}-chaos.md": f"{head}```text\n{text}\n```\n",
    }
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
        print(f"wrote {name}", file=sys.stderr)


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
