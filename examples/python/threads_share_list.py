"""Two threads add to a list and remove from it, one at a time under a lock."""

from multiprocessing import current_process
from threading import Lock, Thread, current_thread

items = []
changes = 0
lock = Lock()


def add_and_remove(times):
    global changes
    for n in range(times):
        item = (current_thread().name, n)
        with lock:
            items.append(item)
            changes += 1
        with lock:
            items.remove(item)
            changes += 1


if __name__ == "__main__":
    threads = [Thread(target=add_and_remove, args=(1000,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{changes} changes by two threads of {current_process().name}; left over: {items}")
