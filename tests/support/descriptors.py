"""What the descriptors of this process lead to."""

from __future__ import annotations

import os
from contextlib import suppress


def targets() -> dict[int, str]:
    """Each open descriptor, and the path or the description that the system has for it."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing itself
            found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
    return found
