"""Running one suite in one interpreter: a process for each class, a limit for each test."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("driver.py")
_JUDGE = """\
import test._test_multiprocessing
test._test_multiprocessing.install_tests_in_module_dict(globals(), {method!r})
"""


Names = list[str]
"""Names of tests. (A `list` in the class below is its method.)"""

Origins = dict[str, bool]
"""For each name of `multiprocessing`, whether its code is millpond's."""


@dataclass
class Outcome:
    """How a test ended: passed, skipped, failed, error, hung or crashed."""

    kind: str
    detail: str = ""


class Patience:
    """How long a driver may be silent before its test counts as hung.

    A test that starts hundreds of processes takes minutes on a busy machine, and none of them while
    nothing changes: as long as processes of the driver's session come and go, it is waited for.
    """

    MOST = 10
    """So many limits at most: a test may hang and start processes for ever."""

    def __init__(self, limit: float, session: int) -> None:
        self._limit, self._session = limit, session
        self.renew()

    def renew(self) -> None:
        """Count from now on: the driver has said something."""
        self._heard = self._changed = time.monotonic()
        self._seen = members(self._session)

    def is_over(self) -> bool:
        """Return whether the driver has been silent for too long."""
        now = time.monotonic()
        if now - self._changed <= self._limit:
            return False
        seen = members(self._session)
        if seen == self._seen or now - self._heard > self.MOST * self._limit:
            return True
        self._changed, self._seen = now, seen
        return False


def members(session: int) -> frozenset[int]:
    """Return the processes of a session."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_bytes()
        except OSError:
            continue
        if int(stat.rpartition(b")")[2].split()[3]) == session:
            found.add(int(entry))
    return frozenset(found)


@dataclass
class Suite:
    """CPython's tests of one start method, or of one more module, under one interpreter."""

    python: Path
    name: str
    work: Path
    limit: float
    """After so many seconds in which no process of a test starts or ends, it counts as hung."""
    alone: Callable[[str], bool] = lambda test: False
    """Which tests run in a process of their own, so that what they leave behind harms no other."""
    proofs: dict[str, dict[str, Origins]] = field(default_factory=dict)
    """Whose code the names are, by class and by place: its process and a child of that."""

    def list(self) -> dict[str, Names]:
        """Return the tests of each class."""
        found: dict[str, Names] = defaultdict(list)
        for line in self._ask("list", self.name):
            found[line["class"]].append(line["test"])
        return dict(found)

    def isolated(self) -> dict[str, Origins]:
        """Return whose code the names are where interpreters are started with -I, -E and -S."""
        return {line["place"]: line["origins"] for line in self._ask("isolated")}

    def run(
        self, classes: dict[str, Names], jobs: int, progress: Callable[[str], None]
    ) -> dict[str, Outcome]:
        """Run classes, so many at a time; return the outcome of each test as `class.test`."""

        def one(item: tuple[str, Names]) -> dict[str, Outcome]:
            outcomes = self._run_class(*item)
            progress(item[0])
            return {f"{item[0]}.{test}": outcome for test, outcome in outcomes.items()}

        with ThreadPoolExecutor(jobs) as threads:
            # The long ones first.
            ordered = sorted(classes.items(), key=lambda item: "Pool" not in item[0])
            return {k: v for part in threads.map(one, ordered) for k, v in part.items()}

    def _run_class(self, name: str, tests: Names) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        together = [test for test in tests if not self.alone(f"{name}.{test}")]
        for batch in (together, *([test] for test in tests if test not in together)):
            while missing := [test for test in batch if test not in outcomes]:
                before = len(outcomes)
                self._run_once(name, missing, outcomes)
                if len(outcomes) == before:
                    # The class cannot be set up, or ends the process before its first test.
                    nothing = Outcome("crashed", "no test was begun")
                    outcomes.update(dict.fromkeys(missing, nothing))
        return outcomes

    def _run_once(self, name: str, tests: Names, outcomes: dict[str, Outcome]) -> None:
        """Run tests of a class, to the end or to the first that hangs or crashes."""
        current = None
        done: set[str] = set()
        child, lines = self._start("run", self.name, name, *tests)
        try:
            for line in lines:
                if "origins" in line:
                    self.proofs.setdefault(name, {})[line["place"]] = line["origins"]
                    continue
                test, kind = line["test"], line["outcome"]
                if kind == "started":
                    current = test
                elif kind in ("skipped", "error") and test.startswith(("setUp", "tearDown")):
                    # Of the class or module, so of all its tests; `test` names which.
                    whole = Outcome(kind, line["detail"])
                    outcomes.update({test: whole for test in tests if test not in outcomes})
                elif test not in done or kind != "passed":
                    outcomes[test] = Outcome(kind, line["detail"])
                    done.add(test)
        except TimeoutError:
            if current is not None and current not in done:
                outcomes[current] = Outcome("hung", f"nothing new for {self.limit:.0f} s")
            elif current is not None:
                # All tests are over; it is the end of the class or of the process that hangs.
                outcomes[current] = Outcome("hung", "the process did not end after the test")
        finally:
            _kill_group(child)
        if current is not None and current not in outcomes:
            outcomes[current] = Outcome("crashed", f"the process ended with {child.returncode}")

    def _ask(self, *arguments: str) -> Iterator[dict[str, Any]]:
        child, lines = self._start(*arguments)
        try:
            yield from lines
        finally:
            _kill_group(child)

    def _start(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Iterator[dict[str, Any]]]:
        self.work.mkdir(parents=True, exist_ok=True)
        for method in ("fork", "spawn", "forkserver"):
            judge = self.work / f"millpond_judge_{method}.py"
            text = _JUDGE.format(method=method)
            if not judge.exists() or judge.read_text() != text:
                judge.write_text(text)
        reader, writer = os.pipe()
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "MILLPOND"))
        }
        # Of its own: tests make files and directories of fixed names there.
        directory = Path(tempfile.mkdtemp(prefix="cwd-", dir=self.work))
        log = (self.work / f"{self.name}.log").open("ab")
        with log:
            child = subprocess.Popen(
                [self.python, DRIVER, str(writer), *arguments],
                cwd=directory,
                env={**environment, "PYTHONPATH": str(self.work)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                start_new_session=True,
            )
        os.close(writer)
        return child, self._lines(child, reader, directory)

    def _lines(
        self, child: subprocess.Popen[bytes], reader: int, directory: Path
    ) -> Iterator[dict[str, Any]]:
        """Yield what a driver reports; TimeoutError when it is silent for too long."""
        try:
            yield from self._read(child, reader)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _read(self, child: subprocess.Popen[bytes], reader: int) -> Iterator[dict[str, Any]]:
        buffer = b""
        with os.fdopen(reader, "rb", buffering=0) as file, selectors.DefaultSelector() as selector:
            selector.register(file, selectors.EVENT_READ)
            patience = Patience(self.limit, child.pid)
            while True:
                # Forked children of the driver may hold the pipe open after it has ended.
                if selector.select(0.5):
                    chunk = file.read(1 << 16)
                    patience.renew()
                    if not chunk:
                        break
                    buffer += chunk
                    *lines, buffer = buffer.split(b"\n")
                    yield from map(json.loads, lines)
                elif child.poll() is not None:
                    break
                elif patience.is_over():
                    raise TimeoutError
        try:
            child.wait(self.limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a driver's session, and reap it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
