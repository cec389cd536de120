"""Functions that run at the same time, each in a process of its own."""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from _primitives.library import Library


class Run:
    """What a crew did: when it was let go, and what each function returned."""

    def __init__(self, began: float, results: list[Any]) -> None:
        self.began = began
        """By `time.perf_counter`, which all processes of a machine share."""
        self.results = results


def together(library: Library, *functions: Callable[[], Any]) -> Run:
    """Runs each function in a process that the library started, all from one moment.

    What a function returns must be JSON. Whoever fails ends the whole measurement: the harness
    kills what is left.
    """
    gate = _Gate()
    outlets = [os.pipe() for _ in functions]
    crew = []
    for function, (_, outlet) in zip(functions, outlets, strict=True):
        process = library.context.Process(target=_member, args=(function, gate, outlet))
        process.start()
        os.close(outlet)
        crew.append(process)
    gate.open_for(len(functions))
    began = time.perf_counter()
    gate.let_go()
    results = []
    for inlet, _ in outlets:
        with open(inlet) as lines:
            text = lines.read()
        if not text:
            sys.exit("a process of the measurement failed")
        results.append(json.loads(text))
    for process in crew:
        process.join()
    return Run(began, results)


def _member(function: Callable[[], Any], gate: _Gate, outlet: int) -> None:
    # At once and without clean-up: what the peers do when a process ends is not measured, and
    # the threads of some wait for readers that are gone.
    try:
        gate.wait()
        text = json.dumps(function())
        os.write(outlet, text.encode())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class _Gate:
    """Where all wait until all have come; of pipes alone, so that no library is favoured."""

    def __init__(self) -> None:
        self._arrivals = os.pipe()
        self._signal = os.pipe()

    def wait(self) -> None:
        os.close(self._signal[1])
        os.write(self._arrivals[1], b"x")
        os.read(self._signal[0], 1)

    def open_for(self, count: int) -> None:
        os.close(self._arrivals[1])
        for _ in range(count):
            if not os.read(self._arrivals[0], 1):
                sys.exit("a process of the measurement ended before it began")

    def let_go(self) -> None:
        os.close(self._signal[1])


class SharedInteger:
    """A number that processes share without any library's help; one of them writes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def get(self) -> int:
        return int(struct.unpack("q", self._memory[:8])[0])

    def set(self, number: int) -> None:
        self._memory[:8] = struct.pack("q", number)


def median_time(library: Library, once: Callable[[], None]) -> dict[str, Any]:
    """The median duration of a round trip, in µs, and how many were looked at."""
    import statistics

    for _ in range(20):
        once()
    clock = time.perf_counter
    took = []
    end = clock() + library.seconds
    began = clock()
    while began < end:
        once()
        now = clock()
        took.append(now - began)
        began = now
    return {"value": statistics.median(took) * 1e6, "unit": "µs", "round trips": len(took)}
