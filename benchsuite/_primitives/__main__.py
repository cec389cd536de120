"""`python -m _primitives LIBRARY WORKLOAD [--quick] [--busy]` measures one workload once.

It prints one line of JSON: the workload, its value, the unit, and what else was seen; or the
workload and why it was skipped.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import signal
from collections.abc import Callable
from typing import Any

from harness.load import busy_cores

from _primitives import channels, idle, locks
from _primitives.library import NAMES, Absent, Library

WORKLOADS: dict[str, Callable[[Library], dict[str, Any]]] = {
    workload.__name__: workload
    for workload in (
        locks.lock,
        locks.rlock,
        locks.semaphore,
        locks.lock_contended,
        locks.value_locked,
        locks.value_atomic,
        locks.event,
        locks.condition,
        locks.barrier,
        channels.queue_ints,
        channels.queue_ints_2_to_2,
        channels.queue_many,
        channels.queue_kilobytes,
        channels.queue_large,
        channels.queue_large_unlimited,
        channels.queue_round_trip,
        channels.simple_queue_round_trip,
        channels.joinable_ints,
        channels.pipe_round_trip,
        channels.pipe_ints,
        channels.pipe_large_pickled,
        channels.pipe_large_bytes,
        idle.idle,
    )
}


def main() -> None:
    # The runner asks for the stacks when a measurement hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    parser = argparse.ArgumentParser(description="Measure one workload once.")
    parser.add_argument("library", choices=NAMES)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--quick", action="store_true", help="a quarter of the work")
    parser.add_argument("--busy", action="store_true", help="beside one endless loop for each core")
    arguments = parser.parse_args()
    library = Library(arguments.library, quick=arguments.quick)
    workload = WORKLOADS[arguments.workload]
    try:
        if arguments.busy:
            with busy_cores():
                measured = workload(library)
        else:
            measured = workload(library)
    except Absent as reason:
        measured = {"skipped": str(reason)}
    print(json.dumps({"workload": arguments.workload, **measured}))


main()
