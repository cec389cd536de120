"""A limit on the size of files (`ulimit -f`), under which pipes and pools work."""
# methods: fork spawn
# ways: import install

import concurrent.futures
import resource
import sys

from subject import context, mp, name, show

Executor = (mp if name == "import" else concurrent.futures).ProcessPoolExecutor


def work(x):
    return len(x), x[:3]


def put(queue, lock, value):
    with lock:
        value.value += 1
    queue.put(b"x" * 300_000)


def use():
    show("lock", lambda: context.Lock().acquire())
    show("semaphore", lambda: context.BoundedSemaphore(2).acquire())
    show("barrier", lambda: context.Barrier(1).wait())

    def through_queue(queue):
        for _ in range(500):
            queue.put(b"x" * 100)
        return sum(len(queue.get()) for _ in range(500)), queue.empty()

    show("queue", lambda: through_queue(context.Queue()))
    show("simple queue", lambda: context.SimpleQueue().empty())

    def through_pipe():
        here, there = context.Pipe()
        here.send("text")
        return there.recv()

    show("pipe", through_pipe)

    def in_child():
        queue, lock, value = context.Queue(), context.Lock(), context.Value("i", 1)
        process = context.Process(target=put, args=(queue, lock, value))
        process.start()
        item = queue.get()
        process.join()
        return len(item), value.value, process.exitcode

    show("process", in_child)

    def in_pool():
        with context.Pool(2) as pool:
            items = [b"1", b"2" * 1000, b"3" * 300_000]
            return pool.map(work, items), len(pool.apply(bytes, (300_000,)))

    show("pool", in_pool)

    def in_executor():
        with Executor(1, mp_context=context) as executor:
            return executor.submit(work, b"1234").result()

    show("executor", in_executor)


def main():
    for limit in (200_000, 20_000_000):
        print("at most", limit)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        use()
    # What was made under a limit, and what is made without one, live side by side.
    lock, queue = context.Lock(), context.Queue()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("no limit")
    use()
    show("both", lambda: (lock.acquire(), queue.put(1), queue.get()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
