"""Has a pool and waits for its own end: hold_pool.py METHOD STATE GATE."""

import signal
import sys
from multiprocessing import util
from pathlib import Path

from gate import Gate

import millpond


def hold_and_leave_note(gate: Gate, key: int) -> None:
    """Hold, and leave a note if the worker comes to its end by itself."""
    note = gate.directory / f"worker-of-{key}-left"
    util.Finalize(None, note.touch, exitpriority=1)
    gate.hold(key)


if __name__ == "__main__":
    method, state, directory = sys.argv[1:]
    if state == "handling SIGTERM":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    if state == "starting":
        print("ready", flush=True)
    gate = Gate(Path(directory))
    with millpond.get_context(method).Pool(3) as pool:
        if state == "idle":
            gate.open()
        results = [pool.apply_async(hold_and_leave_note, (gate, key)) for key in range(3)]
        gate.wait_for(3)
        if state == "idle":
            for result in results:
                result.get()
        if state != "starting":
            print("ready", flush=True)
        while True:
            signal.pause()
