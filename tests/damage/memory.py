"""Damage to the shared memory that this process has mapped."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST = 4 << 20
"""How many bytes of a mapping are damaged at once, at most."""
SEARCHED = 256 << 10
"""How many bytes of a mapping are searched for words that are in use."""

MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-s \S+ \S+ \d+ +/memfd:(millpond\S*) \(deleted\)")
MADV_REMOVE = 9

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Mapping:
    """A stretch of addresses behind which lies memory that other processes have, too."""

    name: str
    start: int
    length: int

    # By the file of this process' memory: where a mapping has no memory that is no signal.
    def read(self, offset: int, length: int) -> bytes:
        with suppress(OSError), Path("/proc/self/mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), length, self.start + offset)
        return b""

    def write(self, offset: int, content: bytes) -> None:
        with suppress(OSError), Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), content, self.start + offset)

    def punch(self, offset: int, length: int) -> None:
        """Take the pages away that lie in a stretch, so that they read as zeros."""
        begin = offset // mmap.PAGESIZE * mmap.PAGESIZE
        end = -(-(offset + length) // mmap.PAGESIZE) * mmap.PAGESIZE
        where = ctypes.c_void_p(self.start + begin), ctypes.c_size_t(end - begin)
        if libc.madvise(*where, MADV_REMOVE) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mappings(name: str = "millpond") -> list[Mapping]:
    """All writable shared memory whose name begins so."""
    found = MAPPING.finditer(Path("/proc/self/maps").read_text())
    return [
        Mapping(match[3], int(match[1], 16), int(match[2], 16) - int(match[1], 16))
        for match in found
        if match[3].startswith(name)
    ]


def damage(source: random.Random) -> None:
    """Damage something of all that this process has mapped."""
    everything = mappings()
    chosen = everything if source.random() < 0.2 else [source.choice(everything)]
    for mapping in chosen:
        damage_one(mapping, source)


def damage_one(mapping: Mapping, source: random.Random) -> None:
    match source.choice(["all", "stretch", "page", "word", "used word", "used word"]):
        case "all":
            begin, length = 0, mapping.length
        case "stretch":
            begin = source.randrange(mapping.length)
            length = source.randrange(1, mapping.length - begin + 1)
        case "page":
            begin = source.randrange(mapping.length // mmap.PAGESIZE) * mmap.PAGESIZE
            length = mmap.PAGESIZE
        case "word":
            begin, length = source.randrange(1024) * 8, 8
        case _:
            begin, length = used_word(mapping, source), 8
    length = min(length, MOST, mapping.length - begin)
    match source.choice(["hole", "zeros", "ones", "random", "random", "bit", "small"]):
        case "hole":
            mapping.punch(begin, length)
        case "zeros":
            mapping.write(begin, bytes(length))
        case "ones":
            mapping.write(begin, b"\xff" * length)
        case "random":
            mapping.write(begin, source.randbytes(length))
        case "bit":
            at = begin + source.randrange(length)
            mapping.write(at, bytes(b ^ 1 << source.randrange(8) for b in mapping.read(at, 1)))
        case _:
            word = source.randrange(1 << source.choice([4, 12, 20])).to_bytes(8, "little")
            mapping.write(begin, word[:length])


def used_word(mapping: Mapping, source: random.Random) -> int:
    """Where a word lies that is not 0."""
    content = mapping.read(0, min(mapping.length, SEARCHED))
    words = memoryview(content[: len(content) // 8 * 8]).cast("Q")
    used = [n * 8 for n, word in enumerate(words) if word]
    return source.choice(used or [0])
