"""The tests that may end otherwise than with the standard library, each with its reason.

They assert how the standard library does something, where one of millpond's promises forbids or
replaces that. COMPATIBILITY.md lists the same.
"""

from __future__ import annotations

EXPECTED: dict[str, str] = {
    "TestPoolNotLeakOnFailure.test_release_unused_processes": (
        "it gives the pool a context whose Process class counts the calls of start(); workers are "
        "forked by the zygote, and no Process object is started for them"
    ),
}


def reason(test: str) -> str | None:
    """Return why a test (`module.Class.test`) may differ, or None."""
    return EXPECTED.get(".".join(test.split(".")[-2:]))
