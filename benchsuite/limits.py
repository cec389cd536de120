"""How exact the time limits of tasks are, with all CPUs busy, and what they cost.

    cargo xtask python benchsuite/limits.py [--kills 200] [--rounds 5]

Exactness: tasks that never end, in C code that holds the GIL or in `time.sleep`, one for each
worker, are killed (`grace=0`) or warned, while a process burns each CPU beside them. What is
measured is how long after its limit an item has failed for the owner: the signal, the death or the
result, and the notice of it.

Costs: CPU time an item, of all processes, of a trivial function; the median of rounds in which each
kind of call has its turn.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from typing import Any

import millpond

context = millpond.get_context("fork")
LIMIT = 0.1
KILLED = 50
"""Items of a call."""


def in_c(_: int) -> None:
    sum(range(10**15))


def asleep(_: int) -> None:
    time.sleep(3600)


def identity(item: int) -> int:
    return item


def burn() -> None:
    while True:
        pass


def exactness(task: Any, options: dict[str, Any], count: int, burns: bool) -> list[float]:
    """Return how many seconds after its limit each of some items has failed."""
    cpus = millpond.cpu_count()
    burners = [context.Process(target=burn, daemon=True) for _ in range(cpus if burns else 0)]
    for burner in burners:
        burner.start()
    late: list[float] = []
    try:
        with context.Pool(cpus, timeout=LIMIT, on_error="return", **options) as pool:
            while len(late) < count:
                for error in pool.map(task, range(KILLED)):
                    assert isinstance(error, millpond.TaskTimeoutError), error
                    assert error.seconds is not None
                    late.append(error.seconds - LIMIT)
    finally:
        for burner in burners:
            burner.kill()
            burner.join()
    return late


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cost(options: dict[str, Any], chunk: int | None, items: int) -> float:
    """Return the CPU time of an item, in microseconds."""
    before = cpu_seconds()
    with context.Pool(2, **options) as pool:
        pool.map(identity, range(items), chunk)
        pool.close()
        pool.join()
    return (cpu_seconds() - before) / items * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} CPUs; milliseconds from the limit to the failed item: p50, p99, most")
    for burns in (False, True):
        for task, grace in ((in_c, 0), (asleep, 0), (asleep, 60)):
            options = {"grace": grace}
            late = sorted(exactness(task, options, arguments.kills, burns))
            p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
            what = "warned" if grace else "killed"
            beside = "each CPU is burnt" if burns else "nothing else runs"
            figures = " ".join(f"{seconds * 1000:8.2f}" for seconds in (p50, p99, late[-1]))
            print(f"{task.__name__:8} {what}, {beside:18} {figures}")
    print("CPU time an item, in microseconds, by chunk size")
    kinds: dict[str, dict[str, Any]] = {
        "no options": {},
        "timeout=60": {"timeout": 60},
        "retries=1": {"retries": 1},
        'on_error="return"': {"on_error": "return"},
    }
    for chunk in (1, 100, None):
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(arguments.rounds):
            for name, options in kinds.items():
                found[name].append(cost(options, chunk, 100_000))
        for name, figures_of in found.items():
            print(f"chunksize={chunk!s:5} {name:20} {statistics.median(figures_of):6.2f}")


if __name__ == "__main__":
    main()
