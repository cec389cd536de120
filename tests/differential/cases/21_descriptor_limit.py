"""Pools and queues in a process that may have few open files (`ulimit -n`), or has none left."""
# methods: fork spawn

import errno
import os
import resource

from subject import context, show


def number(call):
    """What a call returns, or the number of the system's error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode.get(error.errno)


def work_of(processes):
    with context.Pool(processes) as pool:
        return pool.map(abs, range(100)) == list(range(100))


def main():
    queue, lock = context.Queue(), context.Lock()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    for processes in (1, 2, 10, 60, 100, 2):
        show(f"a pool of {processes}", lambda: number(lambda: work_of(processes)))
    held = []
    show("queues", lambda: number(lambda: [held.append(context.Queue()) for _ in range(100)]))
    held.clear()
    show("pipes", lambda: number(lambda: [held.append(context.Pipe()) for _ in range(100)]))
    held.clear()
    with context.Pool(2) as pool:
        show("before", lambda: pool.map(abs, [-1]))

        def open_all():
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))

        show("none left", lambda: number(open_all))
        large = b"x" * 3_000_000
        show("small task", lambda: pool.apply(abs, (-1,)))
        show("large argument", lambda: pool.apply(len, (large,)))
        show("large result", lambda: len(pool.apply(bytes, (3_000_000,))))
        show("queue", lambda: (queue.put(large), len(queue.get()))[1])
        show("lock", lambda: (lock.acquire(), lock.release()))
        show("process", lambda: number(context.Process(target=abs, args=(1,)).start))
        show("pool", lambda: number(lambda: work_of(1)))
        for descriptor in held:
            os.close(descriptor)
        show("after", lambda: (pool.map(abs, [-1]), len(pool.apply(bytes, (3_000_000,)))))


if __name__ == "__main__":
    main()
