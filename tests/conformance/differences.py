"""The tests that may end otherwise than with the standard library, each with its reason.

They assert how the standard library does something, where one of millpond's promises forbids or
replaces that. COMPATIBILITY.md lists the same. The aim is eight; there are nine.
"""

from __future__ import annotations

_NAMES = (
    "it replaces the function that names files in /dev/shm, and looks for those names; millpond's "
    "shared memory has no file"
)
_TRACKER = (
    "it expects that the resource tracker finds a leak and warns of it; millpond's shared memory "
    "goes with the last process that has it"
)
_REGISTERED = (
    "it expects that a lock and shared memory are names which the resource tracker keeps; "
    "millpond's have none, so there is nothing to track"
)

EXPECTED: dict[str, str] = {
    "WithProcessesTestQueue.test_queue_feeder_donot_stop_onexc": (
        "it expects put() to accept what does not pickle; millpond's raises the error"
    ),
    "TestStartMethod.test_mixed_startmethod": (
        "it expects locks and queues of one start method to be refused by another; millpond's are "
        "the same for all"
    ),
    "WithProcessesTestSharedMemory.test_shared_memory_basics": _NAMES,
    "WithProcessesTestSharedMemory.test_shared_memory_recreate": _NAMES,
    "WithProcessesTestSharedMemory.test_shared_memory_cleaned_after_process_termination": _TRACKER,
    "WithProcessesTestSharedMemory.test_shared_memory_tracking": _TRACKER,
    "TestIgnoreEINTR.test_ignore": (
        "it sends 16 MB that nobody receives yet, and expects the sender to wait meanwhile; "
        "millpond's has sent them and ended, and a fork server has reaped it"
    ),
    "TestResourceTracker.test_resource_tracker": _REGISTERED,
    "TestResourceTracker.test_resource_tracker_sigkill": _REGISTERED,
}


def reason(test: str) -> str | None:
    """Return why a test (`module.Class.test`) may differ, or None."""
    return EXPECTED.get(".".join(test.split(".")[-2:]))
