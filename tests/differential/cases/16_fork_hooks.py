"""What a program registers for forks and for its end runs in workers as often as it should."""
# ways: import install

import atexit
import os
import time

from subject import context

HOOKS = []


def note(kind):
    with open(f"{kind}-{os.getpid()}", "a") as file:
        file.write("x")
    HOOKS.append((kind, os.getpid()))


def of_this_process(_):
    return [kind for kind, pid in HOOKS if pid == os.getpid()]


def notes(kind):
    return sorted(os.stat(name).st_size for name in os.listdir() if name.startswith(kind))


def wait_for(kind, count):
    while sum(notes(kind)) < count:
        time.sleep(0.01)


def main():
    os.register_at_fork(after_in_child=lambda: note("child"))
    atexit.register(note, "end")
    with context.Pool(3) as pool:
        print(pool.map(of_this_process, range(2), chunksize=1))
        wait_for("child", 3)
    print("after the first pool:", notes("child"), notes("end"))
    with context.Pool(1, maxtasksperchild=1) as pool:
        print([pool.apply(of_this_process, (0,)) for _ in range(3)])
        wait_for("child", 7)
        pool.close()
        pool.join()
    print("in processes:", set(notes("child")), notes("end"))


if __name__ == "__main__":
    main()
