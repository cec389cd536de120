"""Has a pool whose memory runs out: want_memory.py METHOD."""

import resource
import sys
from pathlib import Path

import millpond

MIB = 1 << 20


def limit_memory() -> None:
    """Leave this process 96 MiB more of address space than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 96 * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def show(name: str, pool: millpond.pool.Pool, function: type, argument: object) -> None:
    try:
        print(name, len(pool.apply(function, (argument,))))
    except (MemoryError, millpond.MaybeEncodingError) as error:
        print(name, type(error).__name__)


if __name__ == "__main__":
    context = millpond.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        data = bytes(64 * MIB)
        pool.map(abs, range(20))
        before = resource.getrlimit(resource.RLIMIT_AS)
        limit_memory()
        show("argument", pool, bytes, data)
        print(pool.map(abs, range(3)))
        resource.setrlimit(resource.RLIMIT_AS, before)
        show("argument", pool, bytes, data)
    with context.Pool(1, limit_memory) as pool:
        show("result", pool, bytes, MIB)
        show("too large to make", pool, bytes, 200 * MIB)
        show("too large to send", pool, bytes, 60 * MIB)
        show("result", pool, bytes, MIB)
