"""`imap` hands results out while its input waits, whatever for."""
# methods: fork spawn

import queue
import threading

from subject import context, mp, show

NAMES = ("imap", "imap_unordered")


def double(x):
    return 2 * x


def throttled(pool, name, tickets):
    """Take all results of a source that goes on as results are taken."""
    gate = threading.Semaphore(tickets)
    read = []

    def source():
        for x in range(50):
            gate.acquire()
            read.append(x)
            yield x

    taken = []
    for result in getattr(pool, name)(double, source()):
        taken.append(result)
        gate.release()
    return sorted(taken), len(read)


def answered(pool, name):
    """Feed a live queue one item at a time, each after the result of the one before."""
    items = queue.SimpleQueue()
    results = getattr(pool, name)(double, iter(items.get, None))
    taken = []
    for x in range(5):
        items.put(x)
        taken.append(next(results))
    items.put(None)
    return taken, list(results)


def timed_out(pool, name):
    """Wait in vain, then for what comes all the same."""
    items = queue.SimpleQueue()
    results = getattr(pool, name)(double, iter(items.get, None))
    tries = []
    for timeout in (0, 0.05, -1):
        try:
            tries.append(results.next(timeout))
        except mp.TimeoutError:
            tries.append("timeout")
    items.put(1)
    tries.append(results.next(60))
    items.put(None)
    tries.append(list(results))
    return tries


def in_chunks(pool, name):
    """Wait for a chunk that is full only later."""
    items = queue.SimpleQueue()
    results = getattr(pool, name)(double, iter(items.get, None), 3)
    for x in range(4):
        items.put(x)
    taken = [next(results) for _ in range(3)]
    items.put(None)
    return taken, list(results)


def reads_in_a_thread(pool, name):
    """Tell whether the source runs in the caller's thread."""
    threads = []

    def source():
        threads.append(threading.current_thread() is threading.main_thread())
        yield 1

    return list(getattr(pool, name)(double, source())), threads


def two_at_a_time(pool, name):
    """Take results of one call while another's source waits for them."""
    items = queue.SimpleQueue()
    second = getattr(pool, name)(double, [1, 2, 3])
    first = getattr(pool, name)(double, iter(items.get, None))
    for result in second:
        items.put(result)
    items.put(None)
    return sorted(first)


def main():
    with context.Pool(2) as pool:
        for name in NAMES:
            for tickets in (1, 2, 4):
                show(f"{name}, {tickets} tickets", lambda: throttled(pool, name, tickets))
            for tried in (
                answered,
                timed_out,
                in_chunks,
                reads_in_a_thread,
                two_at_a_time,
            ):
                show(f"{name}, {tried.__name__}", lambda: tried(pool, name))


if __name__ == "__main__":
    main()
