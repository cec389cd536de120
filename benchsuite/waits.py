"""How soon waiters notice a death, and what waiting costs.

    cargo xtask python benchsuite/waits.py [--deaths 20] [--seconds 3] [--only NAME ...]

Deaths: a process waits, another is killed by SIGKILL after 150 to 300 ms: the median of the times
from the kill to its return. Costs: the CPU time of all threads of a process in a second of a
wait that nothing ends, not counting its beginning.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import millpond

Wait = Callable[[], object]
context = millpond.get_context("fork")


# Deaths: each takes an event that says "ready", and is the target of the process that dies; what it
# returns is how the other waits.


def of_a_lock() -> tuple[Wait, Wait]:
    lock = context.Lock()
    return lock.acquire, lock.acquire


def of_an_rlock() -> tuple[Wait, Wait]:
    lock = context.RLock()
    return lock.acquire, lock.acquire


def of_a_permit() -> tuple[Wait, Wait]:
    semaphore = context.Semaphore(1)
    return semaphore.acquire, semaphore.acquire


def of_a_party() -> tuple[Wait, Wait]:
    barrier = context.Barrier(3)

    def arrive() -> None:
        threading.Thread(target=barrier.wait, daemon=True).start()
        while barrier.n_waiting == 0:
            time.sleep(0.001)

    return arrive, barrier.wait


def of_a_task() -> tuple[Wait, Wait]:
    queue = context.JoinableQueue()
    queue.put(1)
    return queue.get, queue.join


def of_a_peer() -> tuple[Wait, Wait]:
    ours, theirs = context.Pipe()

    def wait() -> None:
        theirs.close()
        ours.recv()

    return ours.close, wait


DEATHS = [of_a_lock, of_an_rlock, of_a_permit, of_a_party, of_a_task, of_a_peer]


def notice(make: Callable[[], tuple[Wait, Wait]]) -> float:
    """Milliseconds from a kill to the return of who waits."""
    hold, wait = make()
    ready, told = context.Pipe(False)
    killed, tell = os.pipe()

    def holder() -> None:
        hold()
        told.send(1)
        time.sleep(60)

    process = context.Process(target=holder)
    process.start()
    ready.recv()
    assert process.pid is not None
    killer = os.fork()
    if killer == 0:
        time.sleep(random.uniform(0.15, 0.3))
        now = time.monotonic_ns()
        os.kill(process.pid, signal.SIGKILL)
        os.write(tell, str(now).encode())
        os._exit(0)
    with contextlib.suppress(Exception):
        wait()
    noticed = time.monotonic_ns()
    passed = (noticed - int(os.read(killed, 100))) / 1e6
    os.waitpid(killer, 0)
    process.join()
    for fd in killed, tell:
        os.close(fd)
    return passed


# Costs.


def at_a_lock() -> Wait:
    lock = context.Lock()
    lock.acquire()
    return lock.acquire


def at_a_semaphore() -> Wait:
    semaphore = context.Semaphore(1)
    semaphore.acquire()
    return semaphore.acquire


def at_an_event() -> Wait:
    return context.Event().wait


def at_a_condition() -> Wait:
    condition = context.Condition()

    def wait() -> None:
        with condition:
            condition.wait()

    return wait


def at_a_barrier() -> Wait:
    return context.Barrier(2).wait


def at_a_queue() -> Wait:
    return context.Queue().get


def at_a_full_queue() -> Wait:
    queue = context.Queue(1)
    queue.put(1)
    return lambda: queue.put(2)


def at_a_pipe() -> Wait:
    ours, _theirs = context.Pipe()

    def wait() -> None:
        ours.recv()
        print(_theirs)

    return wait


COSTS = [
    at_a_lock,
    at_a_semaphore,
    at_an_event,
    at_a_condition,
    at_a_barrier,
    at_a_queue,
    at_a_full_queue,
    at_a_pipe,
]


def cpu(pid: int) -> tuple[float, int]:
    """Milliseconds of CPU time of a process, and how often it gave up a core by itself."""
    with open(f"/proc/{pid}/schedstat") as file:
        used = int(file.read().split()[0]) / 1e6
    switches = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        if int(task) != pid:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                used += int(file.read().split()[0]) / 1e6
        with open(f"/proc/{pid}/task/{task}/status") as file:
            switches += next(int(line.split()[1]) for line in file if line.startswith("volunt"))
    return used, switches


def cost(make: Callable[[], Wait], seconds: float) -> tuple[float, float]:
    """Milliseconds of CPU time, and sleeps, a second of a process that waits for another."""
    wait = make()
    process = context.Process(target=wait)
    process.start()
    try:
        # Were what is waited for not kept here, the wait would be a deadlock.
        return watch(process.pid, seconds)
    finally:
        process.kill()
        process.join()
        del wait


def watch(pid: int | None, seconds: float) -> tuple[float, float]:
    assert pid is not None
    time.sleep(0.7)
    before, slept = cpu(pid)
    time.sleep(seconds)
    after, sleeps = cpu(pid)
    return (after - before) / seconds, (sleeps - slept) / seconds


def cost_of_pool(seconds: float) -> dict[str, tuple[float, float]]:
    """The same of an idle pool, and of one who waits for the result of a long task."""
    costs = {}
    for name, idle in ("owner of an idle pool", True), ("owner at get()", False):
        said, say = context.Pipe(False)

        def own(idle: bool = idle, say: Any = say) -> None:
            with context.Pool(1) as pool:
                say.send(pool.apply(os.getpid))
                if idle:
                    time.sleep(60)
                pool.apply_async(time.sleep, (60,)).get()

        process = context.Process(target=own)
        process.start()
        worker = said.recv()
        costs[name] = watch(process.pid, seconds)
        if idle:
            costs["idle worker"] = watch(worker, seconds)
        process.kill()
        process.join()
    return costs


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deaths", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()

    def is_wanted(name: str) -> bool:
        return not arguments.only or name in arguments.only

    for make in DEATHS if arguments.deaths else []:
        if is_wanted(make.__name__):
            times = sorted(notice(make) for _ in range(arguments.deaths))
            median = statistics.median(times)
            spread = f"{times[0]:.2f} to {times[-1]:.2f}"
            print(f"{make.__name__:20} {median:8.2f} ms   {spread}", flush=True)
    if arguments.seconds:
        costs = {place.__name__: place for place in COSTS if is_wanted(place.__name__)}
        for name, place in costs.items():
            used, sleeps = cost(place, arguments.seconds)
            print(f"{name:24} {used:6.3f} ms a second, {sleeps:5.1f} sleeps", flush=True)
        if is_wanted("pool"):
            for name, (used, sleeps) in cost_of_pool(arguments.seconds).items():
                print(f"{name:24} {used:6.3f} ms a second, {sleeps:5.1f} sleeps", flush=True)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"this process: {usage.ru_utime + usage.ru_stime:.2f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
