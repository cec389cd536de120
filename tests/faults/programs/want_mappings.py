"""Has a pool whose caller can map little more: want_mappings.py METHOD."""

import ctypes
import os
import sys
from pathlib import Path

import millpond

PAGE = 4096
SPARE = 50


def pid(_: object) -> int:
    return os.getpid()


class Mappings:
    """Takes all mappings that this process may have, but for some that it needs for itself."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.mmap.restype = ctypes.c_void_p
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        self.length = ctypes.c_size_t(2 * PAGE * limit)
        no, private = 0, 0x22
        self.start = self.libc.mmap(None, self.length, no, private, -1, ctypes.c_long(0))
        page = self.start
        while self.libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 1) == 0:
            page += 2 * PAGE
        # Without any left there is no memory for anything.
        self.libc.munmap(
            ctypes.c_void_p(page - SPARE * 2 * PAGE), ctypes.c_size_t(SPARE * 2 * PAGE)
        )

    def give_back(self) -> None:
        self.libc.munmap(ctypes.c_void_p(self.start), self.length)


if __name__ == "__main__":
    with millpond.get_context(sys.argv[1]).Pool(2) as pool:
        before = set(pool.map(pid, range(20), chunksize=1))
        while len(before) < 2:
            before |= set(pool.map(pid, range(20), chunksize=1))
        mappings = Mappings()
        results = [pool.apply_async(bytes, (40_000,)) for _ in range(400)]
        for result in results:
            result.wait()
        lengths = {len(result.get()) for result in results}
        mappings.give_back()
        after = set(pool.map(pid, range(20), chunksize=1))
        print(lengths, after <= before)
