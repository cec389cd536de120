"""Waits for workers that take their time to start: interrupted_start.py METHOD GATE [catch]."""

import os
import sys
from multiprocessing import util
from pathlib import Path

from faulty_tasks import double
from gate import Gate

import millpond


def hold_worker(gate: Gate) -> None:
    gate.hold(os.getpid())


gate = Gate(Path(sys.argv[2]))
if __name__ == "__mp_main__":
    hold_worker(gate)  # in a fresh interpreter, a worker imports the program
elif __name__ == "__main__":
    if sys.argv[1] == "fork":
        util.register_after_fork(gate, hold_worker)
    # Each of the workers imports the program.
    with millpond.get_context(sys.argv[1]).Pool(2, preload=[]) as pool:
        try:
            pool.map(double, range(5))
        except KeyboardInterrupt:
            if "catch" not in sys.argv:
                raise
        print(pool.map(double, range(5)))
