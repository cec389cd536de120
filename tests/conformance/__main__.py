"""`python -m conformance`: CPython's tests on the standard library and on millpond, compared."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from conformance import differences, prefix, proof
from conformance.suite import Outcome, Suite

SUITES = ("fork", "spawn", "forkserver", "main_handling", "executor")
GOOD = ("passed", "skipped")
UNKNOWN = Outcome("unknown")
"""Of a test that was not run on the standard library."""


def main() -> int:
    """Run what the command line names; return the exit status."""
    options = _parse()
    interpreter = prefix.Interpreter.ask(sys.executable)
    work = options.work / interpreter.version
    ours = prefix.build(interpreter, work / "prefix")
    report = _Report(interpreter.version)
    for name in options.suites:
        started = time.monotonic()
        candidate = Suite(ours, name, work / "millpond", options.limit, _listed(name))
        stdlib = Suite(interpreter.executable, name, work / "stdlib", options.limit, _listed(name))
        # A test that millpond kept from being found would be missed otherwise.
        classes = stdlib.list()
        if not classes:
            report.add_absent(name)
            continue
        if options.classes:
            classes = {k: v for k, v in classes.items() if any(c in k for c in options.classes)}
        say = _Progress(f"{interpreter.version} {name}", 2 * len(classes))
        results = candidate.run(classes, options.jobs, say)
        report.add_doubts(name, proof.doubts(candidate, classes, ours=True))
        reference: dict[str, Outcome] = {}
        if not options.candidate_only:
            reference = stdlib.run(classes, options.jobs, say)
            report.add_doubts(name, proof.doubts(stdlib, classes, ours=False))
        report.add(name, results, reference, time.monotonic() - started)
    print(report.text())
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / f"cpython-{interpreter.version}.json"
        path.write_text(json.dumps(report.data(), indent=1, sort_keys=True) + "\n")
        path.with_suffix(".md").write_text(report.text() + "\n")
    print(f"\n{report.passed} passed, {report.regressions} failed, {report.skipped} skipped")
    return 1 if report.regressions else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cargo xtask conformance", description=__doc__)
    parser.add_argument("suites", nargs="*", default=list(SUITES), metavar="SUITE",
                        help=f"what to run: {', '.join(SUITES)} (default: all)")  # fmt: skip
    parser.add_argument("--classes", nargs="+", default=[], metavar="TEXT",
                        help="only the classes whose names contain one of these")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=3, help="classes at a time")
    parser.add_argument("--limit", type=float, default=120.0, metavar="SECONDS",
                        help="after which a silent test counts as hung")  # fmt: skip
    parser.add_argument("--candidate-only", action="store_true",
                        help="do not run the standard library beside it")  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path("target/conformance"),
                        help="a directory for the private prefix and the logs")  # fmt: skip
    parser.add_argument("--output", type=Path, help="write the report into this directory")
    options = parser.parse_args()
    options.work = options.work.absolute()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    return options


class _Progress:
    """Says which class is over, on one line of a terminal or every now and then elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0

    def __call__(self, name: str) -> None:
        self._done += 1
        if sys.stderr.isatty():
            text = f"{self._what}: {self._done}/{self._total} {name.rpartition('.')[2]}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif self._done % 20 == 0:
            print(f"{self._what}: {self._done}/{self._total}", file=sys.stderr, flush=True)


def _listed(suite: str) -> Callable[[str], bool]:
    """Return whether a test is one of those that may differ, of which both runs are told."""
    return lambda test: differences.reason(suite, test) is not None


class _Report:
    """The outcomes of all suites of one interpreter, compared."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._rows: list[str] = []
        self._notes: list[str] = []
        self._data: dict[str, dict[str, dict[str, str]]] = {}
        self.passed = self.skipped = self.regressions = 0

    def add_doubts(self, suite: str, doubts: Iterable[str]) -> None:
        """Note where the run was not on what it was to run on."""
        found = [f"- {suite}: {doubt}" for doubt in doubts]
        self.regressions += len(found)
        self._notes += found

    def add(
        self,
        suite: str,
        results: dict[str, Outcome],
        reference: dict[str, Outcome],
        seconds: float,
    ) -> None:
        """Compare a suite's outcomes with the standard library's, test by test."""
        expected = flaked = regressions = 0
        for test, outcome in sorted(results.items()):
            before = reference.get(test, UNKNOWN)
            short = ".".join(test.split(".")[-2:])
            why = differences.reason(suite, test)
            if outcome.kind == "passed" and why is not None:
                self._notes.append(f"- {suite}: `{short}` passed: strike it off the list")
            if not _is_worse(outcome, before):
                continue
            if why is not None:
                expected += 1
                self._notes.append(f"- {suite}: `{short}` {outcome.kind}, as expected: {why}")
                continue
            if (flake := differences.flake(test)) is not None:
                flaked += 1
                self._notes.append(f"- {suite}: `{short}` {outcome.kind}, not judged: {flake}")
                continue
            regressions += 1
            last = outcome.detail.strip().splitlines()[-1:] or [""]
            self._notes.append(f"- {suite}: `{short}` **{outcome.kind}**: {last[0]}")
        self.regressions += regressions
        self.passed += sum(outcome.kind == "passed" for outcome in results.values())
        # Those that differ as expected, and flakes, were not judged.
        self.skipped += sum(o.kind == "skipped" for o in results.values()) + expected + flaked
        self._data[suite] = {
            "millpond": {t: o.kind for t, o in results.items()},
            "stdlib": {t: o.kind for t, o in reference.items()},
        }
        ours, theirs = (_count(outcomes) for outcomes in (results, reference))
        self._rows.append(
            f"| {suite} | {theirs} | {ours} | {expected} | {regressions} | {seconds:.0f} s |"
        )

    def add_absent(self, suite: str) -> None:
        """Note that the interpreter was installed without these tests."""
        self._rows.append(f"| {suite} | not installed | | | | |")

    def text(self) -> str:
        """Return the report as Markdown."""
        date = datetime.date.today().isoformat()
        head = (
            f"# CPython {self._version}'s own tests, {date}\n\n"
            f"Linux {platform.release()}, {platform.machine()}. Passed/skipped/other of all tests; "
            "*differs*: as differences.py says; *worse*: not good here, good with the standard "
            "library.\n\n"
            "| suite | standard library | millpond | differs | worse | took |\n"
            "|---|---|---|---|---|---|\n"
        )
        return head + "\n".join(self._rows) + "\n\n" + "\n".join(self._notes)

    def data(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return every test's outcome."""
        return self._data


def _is_worse(ours: Outcome, theirs: Outcome) -> bool:
    if ours.kind == "skipped":
        # What the standard library lets the test do, millpond must not keep it from.
        return theirs.kind == "passed"
    return ours.kind != "passed" and theirs.kind in (*GOOD, UNKNOWN.kind)


def _count(outcomes: dict[str, Outcome]) -> str:
    kinds = Counter(outcome.kind for outcome in outcomes.values())
    other = sum(count for kind, count in kinds.items() if kind not in GOOD)
    return f"{kinds['passed']}/{kinds['skipped']}/{other}"


if __name__ == "__main__":
    sys.exit(main())
