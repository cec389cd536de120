"""Has a pool without memory for functions, its own or its worker's; the argument is a METHOD."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import millpond

MIB = 1 << 20


def small(x: int) -> int:
    return x + 1


def large_function(size: int) -> Callable[[int], int]:
    """A function that is sent as it is, since no module has it, and has so many bytes with it."""
    return lambda x, _data=bytes(size): x + 1


def limit_memory() -> None:
    """Leave this process 96 MiB more of address space than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 96 * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def lift_limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def show(name: str, result: "millpond.pool.AsyncResult[Any]") -> None:
    try:
        print(name, result.get())
    except Exception as error:
        print(name, type(error).__name__, getattr(error, "errno", None))


def in_caller(pool: millpond.pool.Pool) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    large = large_function(MIB)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    refused = [pool.apply_async(large, (1,)) for _ in range(3)]
    fine = pool.apply_async(small, (1,))
    for result in refused:
        show("refused", result)
    show("next", fine)
    try:
        print(pool.map(large, range(3)))
    except OSError as error:
        print("map", error.errno)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    show("again", pool.apply_async(large, (1,)))


def in_worker(pool: millpond.pool.Pool) -> None:
    large = large_function(80 * MIB)
    pool.apply(limit_memory)
    show("too large", pool.apply_async(large, (1,)))
    show("next", pool.apply_async(small, (1,)))
    pool.apply(lift_limit)
    show("again", pool.apply_async(large, (1,)))


if __name__ == "__main__":
    with millpond.get_context(sys.argv[1]).Pool(1) as pool:
        pool.apply(small, (1,))
        in_caller(pool)
        in_worker(pool)
