"""Memory that is not used any more goes back: `python -m chaos.soak [--seconds N] [--save DIR]`.

Rounds of the same work: all primitives are made, used together with a forked child, given up. One
queue and one pipe live through all rounds; in each, more than their usual share of memory waits in
them for a while. Every round ends with a look at what this process has. What it has at the end may
not exceed what it had after a tenth of the time: what a round leaves behind shows as a slope.
"""

from __future__ import annotations

import argparse
import datetime
import faulthandler
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from support.processes import process_table, with_descendants

import millpond
from chaos.scenario import shared_memory_in_use

MEGABYTE = 1_000_000
# What waits in the lasting queue once in a round.
BACKLOG = 60
# A slab of small slots is given up when it is full and the next begun, so the descriptors swing by
# a few; and the allocator of Python and of the C library keep some memory.
SPARE_DESCRIPTORS = 4
SPARE_BYTES = 8 << 20
# What a queue and a pipe that live on keep warm for what comes next, as their documentation says:
# the pages of free units, and the mappings of blocks. They reach that in their own time.
WARM_QUEUE = 64 << 20
WARM_PIPE = 64 << 20
LIMITS = {
    "regions' pages": WARM_QUEUE + SPARE_BYTES,
    "mapped shared memory": WARM_QUEUE + WARM_PIPE + SPARE_BYTES,
}
# In seconds, for a round; the stacks are shown if one takes longer.
LIMIT = 120

Sample = dict[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="cargo xtask soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--save", type=Path, metavar="DIRECTORY", help="for the results")
    arguments = parser.parse_args()
    samples = soak(arguments.seconds)
    text, faults = judge(samples)
    print(text)
    if arguments.save:
        save(arguments.save, text, samples)
    return int(bool(faults))


def soak(seconds: float) -> list[Sample]:
    context = millpond.get_context("fork")
    lasting = context.Queue(), context.Pipe()
    samples: list[Sample] = []
    began = shown = time.monotonic()
    while len(samples) < 20 or time.monotonic() - began < seconds:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        short_lived(context)
        long_lived(context, *lasting)
        gc.collect()
        samples.append(sample())
        if time.monotonic() - shown >= 5:
            shown = time.monotonic()
            print(f"round {len(samples)}: {told(samples[-1])}", file=sys.stderr, flush=True)
    faulthandler.cancel_dump_traceback_later()
    return samples


def short_lived(context: Any) -> None:
    """Makes one of each, uses them with a child, and gives them up."""
    locks = [context.Lock(), context.RLock(), context.Semaphore(2), context.BoundedSemaphore(2)]
    event, condition, barrier = context.Event(), context.Condition(), context.Barrier(2)
    value, array = context.Value("q", 0), context.Array("d", 1_000)
    raw = context.RawArray("c", MEGABYTE)
    numbers = millpond.shared_array(MEGABYTE // 8)
    queue, joinable, simple = context.Queue(5), context.JoinableQueue(), context.SimpleQueue()
    ours, theirs = context.Pipe()

    def use() -> None:
        for lock in locks:
            with lock:
                value.value += 1
        barrier.wait()
        array[0] = raw[0] = 1
        numbers[:] = 1
        with condition:
            condition.notify_all()
        queue.put(b"x" * MEGABYTE)
        joinable.get()
        joinable.task_done()
        simple.put(b"y" * 100_000)
        theirs.send(theirs.recv())
        event.set()
        # One item that nobody receives, in each.
        queue.put(b"z" * MEGABYTE)
        theirs.send_bytes(b"z" * MEGABYTE)

    child = context.Process(target=use)
    child.start()
    barrier.wait()
    joinable.put(b"x" * MEGABYTE)
    joinable.join()
    ours.send(b"x" * MEGABYTE)
    sizes = len(queue.get()), len(simple.get()), len(ours.recv())
    event.wait()
    child.join()
    child.close()
    if sizes != (MEGABYTE, 100_000, MEGABYTE) or value.value != len(locks):
        raise SystemExit(f"wrong: {sizes}, {value.value}")


def long_lived(context: Any, queue: Any, pipe: tuple[Any, Any]) -> None:
    """Lets a backlog grow in what lives on, and receives it."""
    one, other = pipe

    def fill() -> None:
        for _ in range(BACKLOG):
            queue.put(b"q" * MEGABYTE)
        for _ in range(BACKLOG):
            one.send(b"p" * MEGABYTE)

    child = context.Process(target=fill)
    child.start()
    # The last one waits behind all others.
    time.sleep(0.02)
    received = sum(len(queue.get()) for _ in range(BACKLOG))
    received += sum(len(other.recv()) for _ in range(BACKLOG))
    child.join()
    child.close()
    if received != 2 * BACKLOG * MEGABYTE:
        raise SystemExit(f"received {received} bytes")


def sample() -> Sample:
    """What this process has: bytes, numbers."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    table = process_table()
    children = with_descendants(table, [os.getpid()])
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": sum(not table[pid].is_zombie for pid in children if pid in table),
        "private memory": pages * os.sysconf("SC_PAGE_SIZE") - shared_memory_in_use(),
        "mapped shared memory": shared_memory_in_use(),
        "regions' pages": _region_bytes(),
        "files in /dev/shm": len(os.listdir("/dev/shm")),
    }


def _region_bytes() -> int:
    """The pages of all memory files that this process has open, each file once."""
    files = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{entry}").startswith("/memfd:"):
                status = os.stat(f"/proc/self/fd/{entry}")
                files[status.st_ino] = status.st_blocks * 512
        except FileNotFoundError:  # the listing itself
            continue
    return sum(files.values())


def judge(samples: list[Sample]) -> tuple[str, list[str]]:
    """Compares the worst of the last tenth with the worst of the second tenth."""
    tenth = len(samples) // 10
    early, late = samples[tenth : 2 * tenth], samples[-tenth:]
    faults = []
    lines = [f"{'':24}{'after a tenth':>16}{'at the end':>16}{'at most':>16}"]
    for key in samples[0]:
        before, after = (max(one[key] for one in part) for part in (early, late))
        worst = max(one[key] for one in samples)
        lines.append(f"{key:24}{before:>16,}{after:>16,}{worst:>16,}")
        spare = {"descriptors": SPARE_DESCRIPTORS, "private memory": SPARE_BYTES}.get(key, 0)
        # Files of others may come and go.
        if after > LIMITS.get(key, before + spare) and key != "files in /dev/shm":
            faults.append(f"{key} grew from {before:,} to {after:,}")
    verdict = "; ".join(faults) if faults else "all of it went back"
    lines.append(f"Soak, {len(samples)} rounds: {verdict}")
    return "\n".join(lines), faults


def told(one: Sample) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in one.items())


def save(directory: Path, text: str, samples: list[Sample]) -> None:
    directory.mkdir(exist_ok=True)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    raw = {"date": date, "millpond": millpond.__version__, "samples": samples}
    (directory / f"{date}-soak.json").write_text(json.dumps(raw) + "\n", encoding="utf-8")
    report = f"# Soak, {date}\n\n```text\n{text}\n```\n"
    (directory / f"{date}-soak.md").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
