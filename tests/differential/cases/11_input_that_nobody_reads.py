"""What `imap` was called for is done by `join`, whether results are taken or not."""

import threading

from subject import context, show


def prepare(shared):
    global counter
    counter = shared


def count(x):
    with counter.get_lock():
        counter.value += 1
    return x


def generator(size):
    return (x for x in range(size))


SOURCES = {
    "generator": generator,
    "range": range,
    "list": lambda size: list(range(size)),
    "map": lambda size: map(abs, range(size)),
    "dict": lambda size: dict.fromkeys(range(size)),
}


class Run:
    """A pool whose tasks count."""

    def __init__(self):
        self.done = context.Value("i", 0)
        self.pool = context.Pool(2, prepare, (self.done,))

    def end(self):
        self.pool.close()
        self.pool.join()
        return self.done.value


def dropped(name, source, chunksize):
    run = Run()
    getattr(run.pool, name)(count, source, chunksize)
    return run.end()


def kept(name, source, chunksize):
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    return run.end(), len(list(results))


def kept_and_begun_later(name, source, chunksize):
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    run.pool.close()
    next(results)
    run.pool.join()
    return run.done.value, len(list(results))


def read_after_close(name, source, chunksize):
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    run.pool.close()
    size = len(list(results))
    return size, run.end()


def read_by_another_thread(name, source, chunksize):
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    taken = []
    thread = threading.Thread(target=lambda: taken.extend(results))
    thread.start()
    done = run.end()
    thread.join()
    return done, len(taken)


def left_to_another_thread(name, source, chunksize):
    """Have a thread take one result and wait for something else."""
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    taken, done = threading.Event(), threading.Event()

    def take():
        next(results)
        taken.set()
        done.wait()

    thread = threading.Thread(target=take)
    thread.start()
    taken.wait()
    counted = run.end()
    done.set()
    thread.join()
    return counted, 1 + len(list(results))


def begun_and_short(name, source, chunksize):
    run = Run()
    results = getattr(run.pool, name)(count, source, chunksize)
    next(results)
    return run.end(), 1 + len(list(results))


def without_join(name, source, chunksize):
    """Look at nothing but what the tasks do."""
    run = Run()
    getattr(run.pool, name)(count, source, chunksize)
    while run.done.value < 1000:
        threading.Event().wait(0.01)
    run.pool.terminate()
    run.pool.join()
    return run.done.value


def main():
    for name in ("imap", "imap_unordered"):
        for kind, make in SOURCES.items():
            for chunksize in (1, 10):
                for end in (dropped, kept, read_after_close):
                    show(
                        f"{name}, {kind}, chunks of {chunksize}, {end.__name__}",
                        lambda: end(name, make(2000), chunksize),
                    )
        for end in (read_by_another_thread, left_to_another_thread, without_join):
            show(f"{name}, {end.__name__}", lambda: end(name, generator(1000), 1))
        show(f"{name}, begun later", lambda: kept_and_begun_later(name, generator(200), 1))
        show(f"{name}, begun and short", lambda: begun_and_short(name, generator(50), 1))
        show(f"{name}, begun", lambda: begun_and_short(name, list(range(1000)), 1))


if __name__ == "__main__":
    main()
