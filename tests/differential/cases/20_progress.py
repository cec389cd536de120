"""Private attributes of pools and results that programs show progress with."""

import multiprocessing.pool as stdlib
import threading

from subject import context, show


def hold(gate, x):
    gate.wait()
    return x


def prepare(shared):
    global gate
    gate = shared


def work(x):
    gate.wait()
    return x


def watched(pool, gate, name):
    """Show how far `imap` is without taking results, as a known recipe does."""
    results = getattr(pool, name)(work, range(500))
    gate.set()
    while results._index < 500:
        threading.Event().wait(0.005)
    return results._index, results._length, len(list(results))


def main():
    gate = context.Event()
    with context.Pool(2, prepare, (gate,)) as pool:
        result = pool.map_async(work, range(100), chunksize=5)
        show("chunks left", lambda: result._number_left)
        show("of so many items", lambda: result._chunksize)
        show("items left", lambda: result._number_left * result._chunksize)
        show("over", lambda: (result._event.is_set(), result._event.wait(0)))
        single = pool.apply_async(work, (1,))
        show("over", lambda: single._event.is_set())
        show("calls", lambda: (len(pool._cache), result._job in pool._cache))
        show("calls", lambda: (len(result._cache), single._job in single._cache, bool(pool._cache)))
        show("workers", lambda: (len(pool._pool), pool._processes, pool._state))
        show("queue", lambda: pool._taskqueue.qsize() >= 0)
        show("pipes", lambda: (bool(pool._inqueue), bool(pool._outqueue)))
        handlers = (pool._worker_handler, pool._task_handler, pool._result_handler)
        show("handlers", lambda: [handler.is_alive() for handler in handlers])
        gate.set()
        result.get()
        single.get()
        show("chunks left", lambda: result._number_left)
        show("over", lambda: (result._event.is_set(), single._event.wait()))
        while pool._cache:
            # The standard library's says that it is over, and then takes it out.
            threading.Event().wait(0.005)
        show("calls", lambda: (len(pool._cache), dict(pool._cache), result._job in pool._cache))
        show("queue", lambda: (pool._taskqueue.qsize(), pool._taskqueue.empty()))
        for name in ("imap", "imap_unordered"):
            gate.clear()
            show(f"{name}, by its index", lambda: watched(pool, gate, name))
        asked = [pool.apply_async(work, (x,)) for x in range(30)]
        while pool._cache:
            threading.Event().wait(0.005)
        show("all of many", lambda: [one.ready() for one in asked] == [True] * 30)
        pool.close()
        pool.join()
    show("handlers", lambda: [handler.is_alive() for handler in handlers])
    show("kinds", lambda: isinstance(result, stdlib.MapResult))


if __name__ == "__main__":
    main()
