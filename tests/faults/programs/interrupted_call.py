"""Waits in one of the pool's calls: interrupted_call.py METHOD CALL GATE."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from gate import Gate

import millpond


def waits_after(count: int) -> Iterator[int]:
    yield from range(count)
    threading.Event().wait()


def main(method: str, call: str, gate: Gate) -> None:
    pool = millpond.get_context(method).Pool(2)
    match call:
        case "map":
            pool.map(gate.hold, range(20), chunksize=1)
        case "map in with":
            with pool:
                pool.map(gate.hold, range(20), chunksize=1)
        case "apply":
            pool.apply(gate.hold, (0,))
        case "get":
            pool.apply_async(gate.hold, (0,)).get()
        case "get with timeout":
            pool.apply_async(gate.hold, (0,)).get(timeout=3600)
        case "wait":
            pool.apply_async(gate.hold, (0,)).wait()
        case "imap":
            list(pool.imap(gate.hold, range(20)))
        case "imap_unordered":
            list(pool.imap_unordered(gate.hold, range(20)))
        case "imap of a generator":
            list(pool.imap(gate.hold, (n for n in range(20))))
        case "next":
            pool.imap(gate.hold, (n for n in range(20))).next(timeout=3600)
        case "join of an input that waits":
            pool.imap(gate.hold, waits_after(1))
            pool.close()
            pool.join()
        case "join":
            pool.apply_async(gate.hold, (0,))
            pool.close()
            pool.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Gate(Path(sys.argv[3])))
