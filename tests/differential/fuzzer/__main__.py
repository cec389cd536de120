"""`python -m fuzzer`, which `cargo xtask differential` runs."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from pathlib import Path

from fuzzer import report
from fuzzer.campaign import Campaign
from fuzzer.kinds import generate, render

# Seconds between two lines about how far it has come.
_PROGRESS = 30.0


def main() -> int:
    arguments = parse_arguments()
    if arguments.show is not None:
        print(render(generate(arguments.show)))
        return 0
    seeds = arguments.only or range(arguments.seed, arguments.seed + arguments.programs)
    campaign = Campaign(seeds, arguments.way, arguments.lanes, arguments.seconds)
    findings = campaign.run(shrinking=not arguments.no_shrinking, progress=_PROGRESS)
    whole = report.text(findings, way=arguments.way, seed=arguments.seed)
    if findings.faults or findings.unsteady:
        print(whole)
    print(report.summary(findings))
    if arguments.record is not None:
        path = arguments.record / f"{datetime.date.today().isoformat()}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(whole, encoding="utf-8")
        print(f"wrote {path.name}", file=sys.stderr)
    return int(bool(findings.faults or findings.unsteady))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask differential", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000, help="1000 by default")
    parser.add_argument("--seed", type=int, default=1, help="of the first program")
    parser.add_argument("--seconds", type=float, help="begin no further program after them")
    parser.add_argument("--only", type=int, nargs="+", metavar="SEED", help="these programs")
    parser.add_argument("--show", type=int, metavar="SEED", help="print a program, run nothing")
    parser.add_argument("--way", choices=["import", "install"], default="import")
    parser.add_argument(
        "--lanes", type=int, default=2 * (os.cpu_count() or 1), help="programs at a time"
    )
    parser.add_argument("--no-shrinking", action="store_true")
    parser.add_argument("--record", type=Path, metavar="DIRECTORY", help="where the report goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
