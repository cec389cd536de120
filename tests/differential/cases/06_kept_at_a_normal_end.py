"""A process that ends normally keeps what it took: tickets of a semaphore, a lock as a flag."""
# methods: fork spawn forkserver
# ways: import install

import sys
import threading
from concurrent.futures import ProcessPoolExecutor

from subject import context, show

SOON = 0.05


def make():
    return {
        "Lock": context.Lock(),
        "RLock": context.RLock(),
        "Semaphore": context.Semaphore(2),
        "BoundedSemaphore": context.BoundedSemaphore(3),
        "lock of a Value": context.Value("i", 0).get_lock(),
        "lock of an Array": context.Array("d", 3).get_lock(),
        "Condition": context.Condition(),
        "Condition over a Lock": context.Condition(context.Lock()),
    }


def take(things):
    for name, thing in things.items():
        thing.acquire()
        if name in ("RLock", "BoundedSemaphore"):
            thing.acquire()


def exits(things, *status):
    take(things)
    sys.exit(*status)


def leaves_it_to_a_thread(things):
    threading.Thread(target=take_when_main_has_ended, args=(things,)).start()


def take_when_main_has_ended(things):
    threading.main_thread().join()
    take(things)


class Taker(context.Process):
    def __init__(self, things):
        super().__init__()
        self.things = things

    def run(self):
        take(self.things)


def look(end, process, things):
    process.start()
    process.join()
    print(f"{end}: exit code {process.exitcode}", flush=True)
    for name, thing in things.items():
        show(f"  {name}, once more", lambda: thing.acquire(timeout=SOON))
        show(f"  {name}, and again", lambda: thing.acquire(block=False))


def give_back(things):
    """Whatever may be released by others than its holder."""
    lock, semaphore, bounded = things["Lock"], things["Semaphore"], things["BoundedSemaphore"]
    lock.release()
    show("Lock, after a release", lambda: (lock.acquire(block=False), lock.acquire(block=False)))
    for _ in range(3):
        semaphore.release()
    show("Semaphore, after three", semaphore.get_value)
    show("BoundedSemaphore", bounded.get_value)
    for _ in range(4):
        show("BoundedSemaphore, a release", bounded.release)
    show("BoundedSemaphore", bounded.get_value)
    show("RLock, a release", things["RLock"].release)


def keep(thing):
    global kept
    kept = thing


def take_kept(_):
    return kept.acquire(timeout=SOON)


def take_once(semaphore, won):
    if semaphore.acquire(timeout=SOON):
        with won.get_lock():
            won.value += 1


def main():
    ends = {
        "its target returns": lambda things: context.Process(target=take, args=(things,)),
        "exit()": lambda things: context.Process(target=exits, args=(things,)),
        "exit(None)": lambda things: context.Process(target=exits, args=(things, None)),
        "exit(0)": lambda things: context.Process(target=exits, args=(things, 0)),
        "a thread of it": lambda things: context.Process(
            target=leaves_it_to_a_thread, args=(things,)
        ),
        "its run returns": Taker,
    }
    for end, make_process in ends.items():
        things = make()
        look(end, make_process(things), things)
        if end == "its target returns":
            give_back(things)

    for kind in (context.Semaphore, context.BoundedSemaphore):
        semaphore, won = kind(3), context.Value("i", 0)
        for _ in range(5):
            process = context.Process(target=take_once, args=(semaphore, won))
            process.start()
            process.join()
        print(f"tickets of 3 handed out to 5 processes: {won.value}, left {semaphore.get_value()}")

    for options in ({}, {"maxtasksperchild": 1}):
        semaphore = context.Semaphore(3)
        with context.Pool(1, keep, (semaphore,), **options) as pool:
            show(f"pool, {options}", lambda: pool.map(take_kept, range(5), chunksize=1))
            pool.close()
            pool.join()
        show("afterwards", lambda: semaphore.acquire(timeout=SOON))

    semaphore = context.Semaphore(3)
    for _ in range(2):
        # The end of the block terminates it.
        with context.Pool(1, keep, (semaphore,)) as pool:
            show("pool in a block", lambda: pool.map(take_kept, range(2), chunksize=1))
    show("afterwards", lambda: semaphore.acquire(timeout=SOON))

    semaphore = context.Semaphore(3)
    with ProcessPoolExecutor(1, mp_context=context, initializer=keep, initargs=(semaphore,)) as it:
        show("executor", lambda: list(it.map(take_kept, range(2))))
    show("afterwards", lambda: [semaphore.acquire(timeout=SOON) for _ in range(2)])


if __name__ == "__main__":
    main()
