"""The workloads of the benchmark `pool`, one function each.

`python _pool_workloads.py LIBRARY WORKLOAD [--quick]` measures one workload once, in a fresh
process, and prints one line of JSON: the workload, its value, the unit, and what else was seen.

Spawned workers import this file, so it imports little: what it imports is part of their start.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.pool import Pool
    from typing import Any

WORKERS = 2
ARRAY_BYTES = 8_000_000

# What `prepared` returns. Set before the pool is made: forked workers inherit it.
_prepared: Any = None


class Bench:
    """The library to measure, and how much to measure."""

    def __init__(self, library: str, quick: bool) -> None:
        import importlib

        self._library: Any = importlib.import_module(library)
        importlib.import_module(f"{library}.pool")
        self._quick = quick

    def pool(self, method: str = "fork") -> Pool:
        pool: Pool = self._library.get_context(method).Pool(WORKERS)
        return pool

    def warm_pool(self) -> Pool:
        """A pool all of whose workers have started and worked."""
        pool = self.pool()
        pool.map(same, range(100), chunksize=1)
        return pool

    def amount(self, full: int) -> int:
        return full // 4 if self._quick else full


# What the workers run.


def same(item: Any) -> Any:
    return item


def last(array: Any) -> float:
    return float(array[-1])


def prepared() -> Any:
    return _prepared


# Workloads.


def start_fork(bench: Bench) -> dict[str, Any]:
    return _start(bench, "fork")


def start_spawn(bench: Bench) -> dict[str, Any]:
    return _start(bench, "spawn")


def map_default(bench: Bench) -> dict[str, Any]:
    count = bench.amount(200_000)
    with bench.warm_pool() as pool:
        began = time.perf_counter()
        results = pool.map(same, range(count))
        took = time.perf_counter() - began
    _check(results == list(range(count)))
    return {"value": count / took / 1e6, "unit": "M calls/s"}


def map_one_by_one(bench: Bench) -> dict[str, Any]:
    return _calls(bench, lambda pool, items: pool.map(same, items, chunksize=1))


def imap_unordered(bench: Bench) -> dict[str, Any]:
    return _calls(bench, lambda pool, items: list(pool.imap_unordered(same, items)))


def apply_async(bench: Bench) -> dict[str, Any]:
    def call(pool: Pool, items: range) -> list[int]:
        pending = [pool.apply_async(same, (item,)) for item in items]
        return [result.get() for result in pending]

    return _calls(bench, call)


def apply(bench: Bench) -> dict[str, Any]:
    with bench.warm_pool() as pool:
        return _round_trips(pool, bench.amount(2_000))


def apply_busy(bench: Bench) -> dict[str, Any]:
    from harness.load import busy_cores

    with bench.warm_pool() as pool, busy_cores():
        return _round_trips(pool, bench.amount(800))


def arrays_in(bench: Bench) -> dict[str, Any]:
    array = _array()

    def send() -> bool:
        # Each call sends other content: a result of an earlier one would show.
        array[-1] += 1
        return bool(pool.apply(last, (array,)) == array[-1])

    with bench.warm_pool() as pool:
        return _transfers(bench, send)


def arrays_out(bench: Bench) -> dict[str, Any]:
    global _prepared
    _prepared = _array()

    def receive() -> bool:
        array = pool.apply(prepared)
        return bool(len(array) == len(_prepared) and array[-1] == _prepared[-1])

    with bench.warm_pool() as pool:
        return _transfers(bench, receive)


def idle(bench: Bench) -> dict[str, Any]:
    from harness.load import cpu_seconds_of_tree

    with bench.warm_pool() as pool:
        pool.map(same, range(2_000), chunksize=1)
        before = cpu_seconds_of_tree()
        time.sleep(2)
        used = cpu_seconds_of_tree() - before
    return {"value": used * 1e3, "unit": "ms"}


# What they share.


def _start(bench: Bench, method: str) -> dict[str, Any]:
    """The first pool of a process also pays for imports that happen on use: it counts apart."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        with bench.pool(method) as pool:
            result = pool.apply(same, (1,))
        pool.join()
        took.append((time.perf_counter() - began) * 1e3)
        _check(result == 1)
    first, second = took
    return {"value": second, "unit": "ms", "first": first}


def _calls(bench: Bench, call: Callable[[Pool, range], list[int]]) -> dict[str, Any]:
    items = range(bench.amount(20_000))
    with bench.warm_pool() as pool:
        began = time.perf_counter()
        results = call(pool, items)
        took = time.perf_counter() - began
    _check(sorted(results) == list(items))
    return {"value": len(items) / took / 1e3, "unit": "k calls/s"}


def _round_trips(pool: Pool, count: int) -> dict[str, Any]:
    import statistics

    for _ in range(50):
        pool.apply(same, (0,))
    took = []
    for number in range(count):
        began = time.perf_counter()
        result = pool.apply(same, (number,))
        took.append((time.perf_counter() - began) * 1e6)
        _check(result == number)
    p99 = statistics.quantiles(took, n=100)[-1]
    return {"value": statistics.median(took), "unit": "µs", "p99": p99}


def _array() -> Any:
    import numpy as np

    return np.arange(ARRAY_BYTES // 8, dtype=np.float64)


def _transfers(bench: Bench, transfer: Callable[[], bool]) -> dict[str, Any]:
    count = bench.amount(40)
    for _ in range(4):
        _check(transfer())
    began = time.perf_counter()
    correct = [transfer() for _ in range(count)]
    took = time.perf_counter() - began
    _check(all(correct))
    return {"value": count * ARRAY_BYTES / took / 1e9, "unit": "GB/s"}


def _check(correct: bool) -> None:
    if not correct:
        sys.exit("the pool returned a wrong result")


WORKLOADS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    workload.__name__: workload
    for workload in (
        start_fork,
        start_spawn,
        map_default,
        map_one_by_one,
        imap_unordered,
        apply_async,
        apply,
        apply_busy,
        arrays_in,
        arrays_out,
        idle,
    )
}


def main() -> None:
    import argparse
    import faulthandler
    import json
    import signal

    # The runner asks for the stacks when a measurement hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    parser = argparse.ArgumentParser(description="Measure one workload once.")
    parser.add_argument("library", choices=["multiprocessing", "millpond"])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--quick", action="store_true", help="a quarter of the work")
    arguments = parser.parse_args()
    measured = WORKLOADS[arguments.workload](Bench(arguments.library, arguments.quick))
    print(json.dumps({"workload": arguments.workload, **measured}))


if __name__ == "__main__":
    main()
