"""Catches Ctrl-C and goes on with its pool: catch_interrupt.py METHOD GATE."""

import sys
from pathlib import Path

from faulty_tasks import double
from gate import Gate

import millpond

if __name__ == "__main__":
    method, directory = sys.argv[1:]
    gate = Gate(Path(directory))
    with millpond.get_context(method).Pool(2) as pool:
        try:
            pool.map(gate.hold, range(20), chunksize=1)
        except KeyboardInterrupt:
            gate.open()
        print(pool.map(double, range(5)))
