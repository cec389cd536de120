"""Ends with a pool in some state: leave_pool.py METHOD STATE GATE."""

import os
import sys
from pathlib import Path

from faulty_tasks import double
from gate import Gate

import millpond


class Unfinished(Exception):
    """What a program dies of that does not expect it."""


if __name__ == "__main__":
    method, state, directory = sys.argv[1:]
    gate = Gate(Path(directory))
    pool = millpond.get_context(method).Pool(2)
    print(pool.map(double, range(4)), flush=True)
    match state:
        case "open":
            pass
        case "open and busy":
            result = pool.apply_async(gate.hold)
            gate.wait_for(1)
        case "closed":
            pool.close()
        case "closed and busy":
            pool.apply_async(gate.hold)
            gate.wait_for(1)
            pool.close()
        case "terminated":
            pool.terminate()
        case "half read":
            results = pool.imap(double, range(1000))
            next(results)
        case "raising":
            raise Unfinished
        case "exiting":
            sys.exit(5)
        case "exiting hard":
            os._exit(6)
        case "deleted":
            del pool
