"""The workload of the benchmark `start`: pools of a program whose main module takes long to import.

`python _start_workloads.py LIBRARY METHOD WORKERS` makes one pool after the other in a fresh
process, and prints one line of JSON: how long the later pools took, and the first. The variable
MAIN_SECONDS says how much CPU time an import of this module takes.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LATER = 3

_end = time.process_time() + float(os.environ.get("MAIN_SECONDS", "0"))
while time.process_time() < _end:
    pass

_barrier: Any = None


def begin(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def meet(_: int) -> int:
    """Return the worker's pid, once each worker has begun a task."""
    _barrier.wait()
    return os.getpid()


def start(context: Any, workers: int) -> float:
    """Return how long it takes until each worker of a new pool has worked, and the pool ended."""
    barrier = context.Barrier(workers)
    began = time.perf_counter()
    with context.Pool(workers, begin, (barrier,)) as pool:
        pids = pool.map(meet, range(workers), chunksize=1)
    pool.join()
    took = time.perf_counter() - began
    if len(set(pids)) != workers:
        sys.exit("a worker did more than its share")
    return took


def main() -> None:
    import faulthandler
    import importlib
    import json
    import signal

    # The runner asks for the stacks when a measurement hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    _, name, method, workers = sys.argv
    library: Any = importlib.import_module(name)
    importlib.import_module(f"{name}.pool")
    context = library.get_context(method)
    first, *later = [start(context, int(workers)) for _ in range(1 + LATER)]
    middle = sorted(later)[LATER // 2]
    measured = {"workload": f"{method} {workers}", "value": middle * 1e3, "unit": "ms"}
    print(json.dumps({**measured, "first": first * 1e3}))


if __name__ == "__main__":
    main()
