"""What a process has at one moment, as far as it could leave it behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from support.descriptors import targets
from support.processes import Process, command_of, describe, process_table, with_descendants

SHARED_MEMORY = "/dev/shm"

# The stdlib's own helpers, which stay until the process that needed them first ends.
HELPERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")

# The memory that the engine cuts small objects from: one for each of their sizes stays open.
SLAB = "/memfd:millpond-slab"
SLAB_SIZES = 3

# Which `ctypes` uses. Newer ones keep their own file open, once, from the first callback on.
LIBFFI = "/libffi.so."


@dataclass(frozen=True)
class Belongings:
    """What this process has at one moment, each with the text that names it in a message."""

    processes: frozenset[int] = frozenset()
    descriptors: frozenset[tuple[int, str]] = frozenset()
    shared_memory: frozenset[str] = frozenset()
    threads: frozenset[tuple[int, str]] = frozenset()

    @classmethod
    def now(cls) -> Belongings:
        return cls(
            frozenset(own_processes()),
            frozenset(descriptors()),
            frozenset(os.listdir(SHARED_MEMORY)),
            frozenset(_millpond_threads()),
        )

    def __sub__(self, before: Belongings) -> Belongings:
        return Belongings(
            self.processes - before.processes,
            self.descriptors - before.descriptors,
            self.shared_memory - before.shared_memory,
            self.threads - before.threads,
        )

    def __or__(self, other: Belongings) -> Belongings:
        return Belongings(
            self.processes | other.processes,
            self.descriptors | other.descriptors,
            self.shared_memory | other.shared_memory,
            self.threads | other.threads,
        )

    def __bool__(self) -> bool:
        return bool(self.processes or self.descriptors or self.shared_memory or self.threads)

    def __str__(self) -> str:
        lines = [
            *map(describe, sorted(self.processes)),
            *(f"descriptor {number}: {target}" for number, target in sorted(self.descriptors)),
            *(f"file {SHARED_MEMORY}/{name}" for name in sorted(self.shared_memory)),
            *(f"thread {number}: {name}" for number, name in sorted(self.threads)),
        ]
        return "\n".join(lines)


def own_processes() -> set[int]:
    """This process, all that descend from it, and the orphans of its process group."""
    table = process_table()
    group = os.getpgrp()
    ancestors = _ancestors(table, os.getpid())
    orphans = [
        process.pid
        for process in table.values()
        if process.group == group
        and not process.is_zombie
        and process.pid not in ancestors
        and (process.parent not in table or table[process.parent].group != group)
    ]
    found = with_descendants(table, [os.getpid(), *orphans])
    # A zombie is the fault of its parent, which is this process or is found itself.
    mine = {pid for pid in found if not table[pid].is_zombie or table[pid].parent == os.getpid()}
    return {pid for pid in mine if not _is_helper(pid, table[pid].parent)}


def _ancestors(table: dict[int, Process], pid: int) -> set[int]:
    found = set()
    while pid in table:
        pid = table[pid].parent
        found.add(pid)
    return found


def descriptors() -> Iterator[tuple[int, str]]:
    """The descriptors of this process that a test can have left, and what each leads to."""
    leading = targets()
    # pytest itself puts others in the place of the standard ones.
    lasting = {0, 1, 2} | _helper_descriptors()
    slabs = {number for number, target in leading.items() if target.startswith(SLAB)}
    if len(slabs) <= SLAB_SIZES:
        lasting |= slabs
    libffi = {number for number, target in leading.items() if LIBFFI in target}
    if len(libffi) == 1:
        lasting |= libffi
    yield from ((number, target) for number, target in leading.items() if number not in lasting)


def used_by_others(names: frozenset[str]) -> frozenset[str]:
    """Those of the files in /dev/shm that processes which are not ours have mapped."""
    used: set[str] = set()
    for pid in process_table().keys() - own_processes():
        try:
            with open(f"/proc/{pid}/maps") as maps:
                regions = maps.read()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        used.update(name for name in names if f"{SHARED_MEMORY}/{name}" in regions)
    return frozenset(used)


def _millpond_threads() -> Iterator[tuple[int, str]]:
    for entry in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{entry}/comm") as comm:
                name = comm.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("millpond"):
            yield int(entry), name


def _is_helper(pid: int, parent: int) -> bool:
    return parent == os.getpid() and any(name in command_of(pid) for name in HELPERS)


def _helper_descriptors() -> set[int | None]:
    """The pipes by which this process keeps the stdlib's helpers alive."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    server = sys.modules.get("multiprocessing.forkserver")
    return {
        tracker._resource_tracker._fd if tracker else None,
        server._forkserver._forkserver_alive_fd if server else None,
    }
