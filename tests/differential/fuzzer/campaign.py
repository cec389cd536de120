"""Many programs, on several lanes."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fuzzer import kinds
from fuzzer.compare import Difference, Verdict, line_count
from fuzzer.judge import is_steady, judge
from fuzzer.lanes import Lane
from fuzzer.shrink import shrink

# How many programs of one fault are made smaller and shown.
_SHOWN = 2


@dataclass
class Findings:
    """What a campaign has found."""

    kinds: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    hangs: int = 0
    """Programs that hung under plain Python."""
    expected: Counter[str] = field(default_factory=Counter)
    """Lines that differ as promised, by rule."""
    unsteady: list[Verdict] = field(default_factory=list)
    """Programs that plain Python does not do the same way twice: the generator's fault."""
    faults: dict[tuple[str, str, str], list[tuple[Verdict, Difference]]] = field(
        default_factory=dict
    )
    """Programs with a fault, by its signature; the first ones are made small."""
    seconds: float = 0.0

    @property
    def fault_count(self) -> int:
        """How many programs have a fault."""
        return sum(map(len, self.faults.values()))


class Campaign:
    """Runs programs on several lanes and collects what they show."""

    def __init__(self, seeds: Iterable[int], way: str, lanes: int, seconds: float | None) -> None:
        self.findings = Findings()
        self._seeds = self._until(iter(seeds), seconds)
        self._way = way
        self._count = lanes
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []

    def run(self, *, shrinking: bool = True, progress: float | None = None) -> Findings:
        """Run all programs."""
        began = time.monotonic()
        threads = [
            threading.Thread(target=self._work, args=(shrinking,)) for _ in range(self._count)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(None if progress is None else progress / len(threads))
            if progress is not None:
                self._tell(time.monotonic() - began)
        if self._errors:
            raise self._errors[0]
        self.findings.seconds = time.monotonic() - began
        return self.findings

    def _until(self, seeds: Iterator[int], seconds: float | None) -> Iterator[int]:
        deadline = None if seconds is None else time.monotonic() + seconds
        for seed in seeds:
            if self._errors or (deadline is not None and time.monotonic() > deadline):
                return
            yield seed

    def _tell(self, seconds: float) -> None:
        done = self.findings.kinds.total()
        faults = self.findings.fault_count
        print(f"{done} programs, {faults} with faults, {seconds:.0f} s", file=sys.stderr)

    def _work(self, shrinking: bool) -> None:
        try:
            lane = Lane(self._way)
            try:
                while (seed := self._next()) is not None:
                    self._one(lane, seed, shrinking)
            finally:
                lane.close()
        except BaseException as error:
            self._errors.append(error)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._seeds, None)

    def _one(self, lane: Lane, seed: int, shrinking: bool) -> None:
        program = kinds.generate(seed)
        judged = judge(lane, program)
        steady = not judged.faults or is_steady(lane, judged)
        findings = self.findings
        with self._lock:
            findings.kinds[program["kind"]] += 1
            findings.lines += line_count(judged.plain)
            findings.hangs += judged.plain.status is None
            findings.expected.update(name for name, _ in judged.expected)
            if not steady:
                findings.unsteady.append(judged)
                return
            new: dict[tuple[str, str, str], Difference] = {}
            for fault in judged.faults:
                new.setdefault(fault.signature, fault)
            shown = []
            for signature, fault in new.items():
                known = findings.faults.setdefault(signature, [])
                known.append((judged, fault))
                if len(known) <= _SHOWN:
                    shown.append((signature, len(known) - 1))
        for signature, index in shown if shrinking else ():
            self._shrink(lane, judged, signature, index)

    def _shrink(
        self, lane: Lane, judged: Verdict, signature: tuple[str, str, str], index: int
    ) -> None:
        first = [fault for fault in judged.faults if fault.signature == signature]
        rest = [fault for fault in judged.faults if fault.signature != signature]
        judged.faults[:] = first + rest
        small = shrink(lane, judged)
        fault = next(fault for fault in small.faults if fault.signature == signature)
        with self._lock:
            self.findings.faults[signature][index] = (small, fault)
