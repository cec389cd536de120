"""What other libraries take from `multiprocessing`, and the children that they start.

The program runs itself twice: its imports stand below `install()`, and above it.
"""
# ways: install
# needs: joblib

import os
import subprocess
import sys

ORDER = os.environ.get("ORDER")

if ORDER == "above":
    import multiprocessing
    from multiprocessing.connection import Connection
    from multiprocessing.pool import Pool
    from multiprocessing.queues import Queue, SimpleQueue
    from multiprocessing.synchronize import Event, Lock

    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    EARLY = multiprocessing.get_context("spawn")
    early = EARLY.Lock(), EARLY.Queue(), EARLY.Value("i", 5), EARLY.Pipe()
    from subject import mp, show
elif ORDER == "below":
    from subject import mp, show  # noqa: I001
    from multiprocessing.connection import Connection
    from multiprocessing.pool import Pool
    from multiprocessing.queues import Queue, SimpleQueue
    from multiprocessing.synchronize import Event, Lock

    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    EARLY = mp.get_context("spawn")
    early = EARLY.Lock(), EARLY.Queue(), EARLY.Value("i", 5), EARLY.Pipe()

if ORDER:

    class OwnQueue(Queue):
        """A subclass of the documented parts."""

        def put(self, item, *args):
            super().put(("own", item), *args)

    class OwnEvent(Event):
        pass


def square(x):
    return x * x


def keep(*shared):
    sys.kept = shared


def use():
    lock, queue, own, simple, event, connection = sys.kept
    lock.acquire()
    queue.put("queue")
    own.put("own queue")
    simple.put("simple")
    event.set()
    connection.send("pipe")
    return "used"


def in_child(lock, queue, value, connection, own, event):
    with lock:
        value.value += 1
        queue.put("queue")
        own.put("own queue")
        connection.send("pipe")
        event.set()


def in_early(lock, queue, value, pipe):
    with lock:
        value.value += 1
        queue.put("early")
        pipe[1].send("early")


def executor_shares():
    spawn = mp.get_context("spawn")
    reader, writer = spawn.Pipe(duplex=False)
    shared = (
        spawn.Lock(),
        spawn.Queue(),
        OwnQueue(ctx=spawn),
        SimpleQueue(ctx=spawn),
        OwnEvent(ctx=spawn),
        writer,
    )
    executor = get_reusable_executor(1, initializer=keep, initargs=shared, timeout=60)
    try:
        used = executor.submit(use).result(30)
        got = shared[1].get(timeout=30), shared[2].get(timeout=30), shared[3].get()
        return used, got, shared[0].acquire(False), shared[4].is_set(), reader.recv()
    finally:
        executor.shutdown()


def processes_share(method):
    context = mp.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    shared = context.Lock(), context.Queue(), context.Value("i", 1), writer
    own, event = OwnQueue(ctx=context), OwnEvent(ctx=context)
    child = context.Process(target=in_child, args=(*shared, own, event))
    child.start()
    got = shared[1].get(timeout=30), own.get(timeout=30), reader.recv()
    child.join()
    return got, shared[2].value, event.is_set(), child.exitcode


def early_in_process():
    child = EARLY.Process(target=in_early, args=early)
    child.start()
    got = early[1].get(timeout=30), early[3][0].recv()
    child.join()
    return got, early[2].value, child.exitcode


def pool():
    with Pool(2) as pool:
        found = pool.map(square, range(5)), isinstance(pool, Pool)
    pool.join()
    return found


def ends():
    one, other = mp.Pipe()
    again = Connection(os.dup(one.fileno()))
    again.send("through another object")
    return other.recv(), isinstance(again, Connection), isinstance(one, Connection)


def main():
    if not ORDER:
        for order in ("above", "below"):
            environment = os.environ | {"ORDER": order}
            command = [sys.executable, __file__]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
            print(order, done.returncode, done.stdout)
        return
    show("joblib", lambda: sum(Parallel(2)(delayed(square)(i) for i in range(100))))
    show("joblib, lambda", lambda: Parallel(2)(delayed(lambda x: x + 1)(i) for i in range(3)))
    get_reusable_executor().shutdown()
    show("loky", executor_shares)
    for method in ("fork", "spawn", "forkserver"):
        show(method, lambda: processes_share(method))
    show("made early", early_in_process)
    show("pool", pool)
    show("ends", ends)
    lock = Lock(ctx=mp.get_context("fork"))
    show("types", lambda: (isinstance(lock, Lock), isinstance(early[0], Lock)))


if __name__ == "__main__":
    main()
