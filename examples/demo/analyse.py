"""Analyse every source file of Python's standard library: serially, then in a pool.

In the middle of the pool's run one worker is killed. The pool reports what was lost, this program
asks for it again, and in the end the results of both runs are the same.
"""

from __future__ import annotations

import argparse
import io
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from findings import source_files, summarise
from pool_run import analyse_in_pool
from progress import Progress
from source_file import FileReport, analyse_file
from tables import findings_tables, run_table

import millpond


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without Unicode gets question marks rather than an exception.
        sys.stdout.reconfigure(errors="replace")
    files = source_files(options.source)
    if not files:
        print(f"there are no Python files in {options.source}", file=sys.stderr)
        return 1
    print(f"Python {sys.version.split()[0]}: {len(files):,} files in {options.source}\n")

    progress = Progress("serial", len(files), "files")
    serial = analyse_serially(files, progress)
    serial_seconds = progress.finish()

    progress = Progress(f"pool of {options.workers}", len(files), "files")
    run = analyse_in_pool(
        files, options.workers, progress, kill=options.kill, timeline=options.timeline
    )

    if run.reports != serial:
        different = [path for path in files if run.reports.get(path) != serial[path]]
        print(f"the results differ: {', '.join(different)}", file=sys.stderr)
        return 1
    print(f"\n{run_table(serial_seconds, options.workers, run)}\n")
    print(findings_tables(summarise(serial.values()), options.source))
    if options.timeline is not None:
        print(f"\nTimeline: {options.timeline}")
    return 0


def analyse_serially(files: Sequence[str], progress: Progress) -> dict[str, FileReport]:
    """Analyse files one after the other in this process."""
    reports = {}
    for path in files:
        reports[path] = analyse_file(path)
        progress.advance(len(reports))
    return reports


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--workers",
        type=positive,
        default=millpond.cpu_count(),
        metavar="N",
        help="processes in the pool (default: one for each processor, here %(default)s)",
    )
    parser.add_argument(
        "--timeline",
        type=Path,
        metavar="PATH",
        help="write a picture of the pool's run to this HTML file",
    )
    parser.add_argument(
        "--source",
        type=Path,
        default=Path(sysconfig.get_path("stdlib")),
        metavar="DIR",
        help="analyse the files in this directory (default: the standard library)",
    )
    parser.add_argument("--no-kill", dest="kill", action="store_false", help="let all workers live")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Read a number of workers."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
