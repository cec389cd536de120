"""A pipe's messages where memory or descriptors have run out: errors, and the next is fine."""

import os
import resource
from pathlib import Path

import millpond

left, right = millpond.Pipe()
large = b"x" * 1_000_000

# What the package needs is imported now, while files can be opened.
left.send([{}])
print(right.recv())

# The receiver has no descriptor for a block that it has not seen.
left.send_bytes(large)
lowest = os.dup(0)
os.close(lowest)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, most))
try:
    right.recv_bytes()
except OSError as error:
    print("receiver:", type(error).__name__, error.errno)

# The sender has none for a block. It sends one that came back, if there is one: there is none.
try:
    left.send_bytes(large)
except OSError as error:
    print("sender:", type(error).__name__, error.errno)

left.send("small")
print(right.recv())
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
left.send_bytes(large)
print(right.recv_bytes() == large)

# No address space.
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
half = bytearray(40 << 20)
try:
    left.send_bytes(half)
except (MemoryError, OSError) as error:
    print("memory:", type(error).__name__)
left.send("small")
print(right.recv())
