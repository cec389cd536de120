"""A `SharedMemory` that a task or a child made and closed is there until somebody unlinks it."""
# methods: fork spawn
# ways: import install

import importlib
import os
import signal
import sys
import time
from multiprocessing.managers import SharedMemoryManager

from subject import context, mp, show

shared_memory = importlib.import_module(f"{mp.__name__}.shared_memory")
ShareableList, SharedMemory = shared_memory.ShareableList, shared_memory.SharedMemory

if hasattr(mp, "ProcessPoolExecutor"):
    ProcessPoolExecutor = mp.ProcessPoolExecutor
else:
    from concurrent.futures import ProcessPoolExecutor


def make(number):
    block = SharedMemory(create=True, size=1000)
    block.buf[:2] = bytes([number] * 2)
    block.close()
    return block.name


def make_and_tell(number):
    return make(number), os.getpid()


def make_open(number):
    block = SharedMemory(create=True, size=1000)
    block.buf[:2] = bytes([number] * 2)
    return block


def make_untracked(number):
    block = SharedMemory(create=True, size=1000, track=False)
    block.buf[:2] = bytes([number] * 2)
    block.close()
    return block.name


def make_list(number):
    return ShareableList([number, "text", None])


def read(name):
    block = SharedMemory(name)
    data = bytes(block.buf[:2])
    block.close()
    return data


def double(values):
    values[0] *= 2
    return list(values)


def take(name, **options):
    block = SharedMemory(name, **options)
    data = bytes(block.buf[:2])
    block.close()
    block.unlink()
    return data


def put(queue, number):
    queue.put(make(number))


def put_and_die(queue, number):
    block = make_open(number)
    queue.put(block.name)
    queue.close()
    queue.join_thread()
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_end(pid):
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def while_the_pool_lives():
    with context.Pool(2) as pool:
        return [take(name) for name in pool.map(make, range(4))]


def after_the_pool():
    with context.Pool(2) as pool:
        names = pool.map(make, range(4))
    return [take(name) for name in names]


def after_close_and_join():
    pool = context.Pool(2)
    names = pool.map(make, range(4))
    pool.close()
    pool.join()
    return [take(name) for name in names]


def after_their_workers():
    with context.Pool(2, maxtasksperchild=1) as pool:
        made = pool.map(make_and_tell, range(4), chunksize=1)
        for _name, pid in made:
            wait_for_end(pid)
        seen = pool.map(read, [name for name, _pid in made], chunksize=1)
        return seen, [take(name) for name, _pid in made]


def in_another_pool():
    with context.Pool(1) as pool:
        names = pool.map(make, range(4))
    with context.Pool(1) as pool:
        seen = pool.map(read, names)
    return seen, [take(name) for name in names]


def unlinked_by_a_task():
    with context.Pool(1) as pool:
        names = pool.map(make, range(2))
        taken = pool.map(take, names)
    return taken, without_its_name(lambda: take(names[0]))


def blocks_as_results():
    with context.Pool(1) as pool:
        blocks = pool.map(make_open, range(3))
    data = [bytes(block.buf[:2]) for block in blocks]
    for block in blocks:
        block.close()
        block.unlink()
    return data


def lists():
    with context.Pool(1) as pool:
        values = pool.apply(make_list, (4,))
        seen = pool.apply(double, (values,))
    outcome = seen, list(values)
    values.shm.close()
    values.shm.unlink()
    return outcome


def of_an_executor():
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        names = list(executor.map(make, range(4)))
    return [take(name) for name in names]


def joined_first():
    queue = context.Queue()
    child = context.Process(target=put, args=(queue, 5))
    child.start()
    child.join()
    return take(queue.get())


def of_a_child_that_is_killed():
    queue = context.Queue()
    child = context.Process(target=put_and_die, args=(queue, 6))
    child.start()
    name = queue.get()
    child.join()
    return child.exitcode, take(name)


def of_a_manager():
    with SharedMemoryManager() as manager, context.Pool(1) as pool:
        block, values = manager.SharedMemory(10), manager.ShareableList([3])
        block.buf[:2] = b"ab"
        outcome = pool.apply(read, (block.name,)), pool.apply(double, (values,)), values[0]
        values.shm.close()
        block.close()
    return outcome, without_its_name(lambda: read(block.name))


def untracked():
    with context.Pool(1) as pool:
        names = pool.map(make_untracked, range(2))
    return [take(name, track=False) for name in names]


def without_its_name(call):
    try:
        return call()
    except FileNotFoundError:
        return "FileNotFoundError"


def main():
    # The tracker of this process is that of all its children, under fork as well.
    own = SharedMemory(create=True, size=1000)
    show("while the pool lives", while_the_pool_lives)
    show("after the pool", after_the_pool)
    show("after close and join", after_close_and_join)
    show("after the workers that made them", after_their_workers)
    show("in another pool", in_another_pool)
    show("unlinked by a task", unlinked_by_a_task)
    show("blocks as results", blocks_as_results)
    show("lists", lists)
    show("of an executor", of_an_executor)
    show("the child joined first", joined_first)
    show("of a child that is killed", of_a_child_that_is_killed)
    show("of a manager", of_a_manager)
    if sys.version_info >= (3, 13):
        show("untracked", untracked)
    show("kind of name", lambda: (own.name.startswith("psm_"), own.name in os.listdir("/dev/shm")))
    own.close()
    own.unlink()


if __name__ == "__main__":
    main()
