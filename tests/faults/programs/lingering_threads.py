"""A daemon thread is in the engine when the interpreter finalizes, in this process or a child.

    lingering_threads.py ENTRY [START_METHOD]

An entry is one of the functions below whose names begin with `in_`. It makes the engine call
Python code that goes on until the interpreter ends the thread, or waits in the engine.
"""

import builtins
import gc
import sys
import threading
import time

import millpond

inside = threading.Event()


def linger(*_):
    inside.set()
    while True:
        time.sleep(0.001)


def spin(*_):
    inside.set()
    while True:
        pass


class Late:
    """Has the interpreter finalize until the other thread has asked for the GIL; then uses the
    engine."""

    def __init__(self):
        self.items = millpond.Queue()

    def __del__(self, sleep=time.sleep, failures=Exception):
        sleep(0.3)
        try:
            self.items.get(False)
        except failures:
            pass


class Pickled:
    __call__ = __reduce__ = linger


class PickledSpinning:
    __reduce__ = spin


class Unpickled:
    def __reduce__(self):
        return linger, ()


class Dropped:
    __del__ = linger

    def __reduce__(self):
        return int, ()


class Number:
    __bool__ = __float__ = __index__ = linger


class Failure(Exception):
    __setattr__ = linger

    @classmethod
    def iterate(cls):
        raise cls
        yield


class Foreign:
    """What a condition takes for a lock of the standard library."""

    acquire = release = linger

    def __init__(self):
        self._semlock = self

    _is_mine = _count = linger


class FinderOfFailures:
    @staticmethod
    def find_spec(name, *_):
        if name == "millpond._pool.errors":
            linger()


class Subclass(type(millpond.Lock())):
    pass


def received(item):
    items = millpond.Queue()
    items.put(item)
    return items


def in_put():
    millpond.Queue().put([Pickled()])


def in_put_spinning():
    millpond.Queue().put([PickledSpinning()])


def in_put_whether_to_block():
    millpond.Queue().put(1, Number())


def in_put_full():
    items = millpond.Queue(1)
    items.put(1)
    items.put(1, True, Number())


def in_put_many():
    millpond.Queue().put_many([[Pickled()]])


def in_put_many_iterating():
    millpond.Queue().put_many(map(linger, "a"))


def in_put_many_failing():
    millpond.Queue().put_many(Failure.iterate())


def in_put_many_dropping():
    millpond.Queue().put_many(Dropped() for _ in "a")


def in_get():
    received([Unpickled()]).get()


def in_get_timeout():
    millpond.Queue().get(True, Number())


def in_get_many():
    received([Unpickled()]).get_many(3)


def in_simple_queue():
    items = millpond.SimpleQueue()
    items.put([Unpickled()])
    items.get()


def in_send():
    millpond.Pipe()[0].send([Pickled()])


def in_receive():
    a, b = millpond.Pipe()
    a.send([Unpickled()])
    b.recv()


def in_action_of_barrier():
    millpond.Barrier(1, action=linger).wait()


def in_predicate_of_condition():
    condition = millpond.Condition()
    with condition:
        condition.wait_for(linger)


def in_foreign_lock_of_condition():
    millpond.Condition(Foreign()).wait()


def in_timeout_of_lock():
    lock = millpond.Lock()
    lock.acquire()
    lock.acquire(True, Number())


def in_value():
    millpond.Value("i", 0).value = Number()


def in_submission(pool):
    pool.apply_async(abs, ([Pickled()],))


def in_function_of_submission(pool):
    pool.map(Pickled(), [1, 2])


def in_result(pool):
    pool.apply(Unpickled)


def in_import_of_failures(pool):
    sys.modules.pop("millpond._pool.errors", None)
    sys.meta_path.insert(0, FinderOfFailures)
    pool.apply(int, ("no number",))


def in_import_of_exception():
    imported = builtins.__import__

    def importing(name, *args, **kwargs):
        if name == "queue" and threading.current_thread().daemon:
            linger()
        return imported(name, *args, **kwargs)

    items = millpond.Queue()
    builtins.__import__ = importing
    items.get(False)


def in_collection_of_garbage():
    items = received((1, (2, 3)))
    gc.callbacks.append(linger)
    gc.set_threshold(1)
    while True:
        items.get()
        items.put((1, (2, 3)))


def in_collection_of_garbage_at_making():
    objects = []
    gc.callbacks.append(linger)
    gc.set_threshold(1)
    while True:
        objects.append(Subclass())


def in_waiting_get():
    inside.set()
    millpond.Queue().get()


def in_waiting_lock():
    lock = millpond.Lock()
    lock.acquire()
    inside.set()
    lock.acquire()


def in_waiting_receive():
    pipe = millpond.Pipe()
    inside.set()
    pipe[1].recv()


def end(name):
    """Returns from the last function of a process: its interpreter finalizes."""
    # In the last of the modules that lose what is in them.
    sys.late = Late()
    entry = globals()[name]
    pools = [millpond.Pool(1)] if entry.__code__.co_argcount else []
    threading.Thread(target=entry, args=pools, daemon=True).start()
    assert inside.wait(30)


if __name__ == "__main__":
    if sys.argv[2:]:
        context = millpond.get_context(sys.argv[2])
        child = context.Process(target=end, args=(sys.argv[1],))
        child.start()
        child.join()
        print(child.exitcode)
    else:
        end(sys.argv[1])
        print(0)
