"""The tests that may end otherwise than with the standard library, each with its reason.

They assert how the standard library does something which one of the promises forbids. At most four
are allowed; COMPATIBILITY.md lists the same.
"""

from __future__ import annotations

import sys

_TRACKED = (
    "it expects locks to be names in the system, which the resource tracker keeps; millpond's have "
    "none (nothing leaks)"
)

EXPECTED: dict[str, str] = {
    "WithProcessesTestQueue.test_queue_feeder_donot_stop_onexc": (
        "it expects put() to accept what does not pickle and to lose it; millpond's raises the "
        "error (nothing is lost silently)"
    ),
    "TestResourceTracker.test_resource_tracker": _TRACKED,
    "TestResourceTracker.test_resource_tracker_sigkill": _TRACKED,
    "TestIgnoreEINTR.test_ignore": (
        "it expects a process that sends 16 MB to stay until they are received; millpond's has "
        "sent them and ended, so that joining it first does not hang (nothing hangs), and a fork "
        "server has reaped it before the test sends it a signal"
    ),
}

# Tests of the standard library's own code, in both runs, that do not end as they should each time.
_FLAKES = {"WithThreadsTestPool.test_terminate": "ThreadPool.terminate may wait for its threads"}

_ONLY_UNDER = {"TestIgnoreEINTR.test_ignore": "forkserver"}


def reason(suite: str, test: str) -> str | None:
    """Return why a test (`module.Class.test`) of a suite may differ, or None."""
    name = ".".join(test.split(".")[-2:])
    if _ONLY_UNDER.get(name, suite) != suite:
        return None
    return EXPECTED.get(name)


def flake(test: str) -> str | None:
    """Return why the standard library itself fails in a test now and then, or None."""
    if sys.version_info >= (3, 13):
        return None
    return _FLAKES.get(".".join(test.split(".")[-2:]))
