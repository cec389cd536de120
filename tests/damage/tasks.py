"""A task that damages the memory that its worker shares with the pool."""

from __future__ import annotations

import ctypes
import os
import random
import time
from pathlib import Path

from support.processes import abort_on_purpose

from damage import memory

PAGE = 4096
# Where the rings of a link end, and where the blocks of large arguments and results begin.
RINGS_END = PAGE + (512 << 10)
HEAP = 1 << 20
# Of each place: the memory's name, where the place begins and where it ends.
PLACES = {
    "link header": ("millpond-link", 0, PAGE),
    "link rings": ("millpond-link", PAGE, RINGS_END),
    "link": ("millpond-link", 0, None),
    "control_block header": ("millpond-pool", 0, PAGE),
    "control_block heap": ("millpond-pool", HEAP, None),
    # Anything that a worker has mapped writable.
    "everything": ("millpond", 0, None),
}
PUNCH_HOLE = 0x02 | 0x01


def find_memory(name: str) -> int:
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith(f"/memfd:{name} "):
                return int(number)
        except FileNotFoundError:
            pass
    raise LookupError(name)


def damage(place: str, source: random.Random) -> None:
    if place == "everything":
        memory.damage(source)
        return
    name, start, end = PLACES[place]
    fd = find_memory(name)
    size = os.fstat(fd).st_size
    end = min(end or size, size)
    extent = source.choice(["all", "stretch", "word"])
    if extent == "stretch":
        start, end = (
            sorted(source.sample(range(start, end + 1), 2)) if end > start else (start, end)
        )
    elif extent == "word":
        # Where the words and the first frames are.
        start = source.randrange(start, start + 1024) & ~7
        end = start + 8
    length = max(0, min(end - start, 4 << 20))
    match source.choice(["hole", "zeros", "ones", "random"]):
        case "hole":
            offsets = ctypes.c_long(start), ctypes.c_long(length or 1)
            ctypes.CDLL(None).fallocate(fd, PUNCH_HOLE, *offsets)
        case "zeros":
            os.pwrite(fd, bytes(length), start)
        case "ones":
            os.pwrite(fd, b"\xff" * length, start)
        case _:
            os.pwrite(fd, source.randbytes(length), start)


def spoil(place: str, seed: int, culprit: Path) -> int:
    """Damage the memory; a file says by then which worker did."""
    with culprit.open("x") as file:
        file.write(str(os.getpid()))
    source = random.Random(seed)
    time.sleep(0.002)
    damage(place, source)
    match source.choice(["die", "nap", "return"]):
        case "die":
            abort_on_purpose()
        case "nap":
            time.sleep(0.005)
    return seed


def square(n: int) -> tuple[int, int, int]:
    return os.getpid(), n, n * n


def square_once(n: int, begun: Path) -> tuple[int, int, int]:
    """Leaves a byte in a file for each time that it is begun."""
    with (begun / str(n)).open("ab") as file:
        file.write(b".")
    return square(n)
