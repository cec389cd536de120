"""Uses more memory than its control group has: want_group_memory.py DIRECTORY, which it enters."""

import os
import sys
from pathlib import Path

import millpond

MIB = 1 << 20


def show(name: str, call: "millpond.pool.AsyncResult[int]") -> None:
    try:
        print(name, call.get())
    except (MemoryError, millpond.MaybeEncodingError) as error:
        print(name, type(error).__name__)


if __name__ == "__main__":
    (Path(sys.argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
    queue = millpond.Queue()
    count = 0
    try:
        while count < 40:
            queue.put(bytes(16 * MIB))
            count += 1
    except MemoryError:
        print("put", 8 <= count < 16)
    queue.close()
    del queue
    with millpond.Pool(1) as pool:
        show("result", pool.apply_async(bytes, (400 * MIB,)))
        show("next", pool.apply_async(len, (b"abc",)))
        large = bytes(150 * MIB)
        show("argument", pool.apply_async(len, (large,)))
        show("next", pool.apply_async(len, (b"abc",)))
    pool.join()
