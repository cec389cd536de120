"""Three processes print several lines each; a lock that they inherit keeps the lines together."""

import time
from multiprocessing import Lock, Process


def recite(lock, poet):
    with lock:
        for line in (1, 2, 3):
            print(f"{poet}, line {line}", flush=True)
            time.sleep(0.01)


if __name__ == "__main__":
    lock = Lock()
    poets = [Process(target=recite, args=(lock, name)) for name in ("Homer", "Sappho", "Virgil")]
    for poet in poets:
        poet.start()
    for poet in poets:
        poet.join()
