"""A frozen program is its own interpreter: a child is the program, with a command line to look at.

This file stands for the program. A launcher that knows only the file's path is its executable.
"""
# methods: fork spawn forkserver
# ways: import install

import os
import re
import subprocess
import sys

EXECUTABLE = os.path.abspath("program")
STARTS = os.path.abspath("starts")


def freeze_support():
    """What tools put in place of `multiprocessing.freeze_support`."""
    from multiprocessing import spawn

    if sys.argv[-2:-1] == ["-c"] and re.match("from multiprocessing.* import main", sys.argv[-1]):
        # The resource tracker, or the fork server.
        exec(sys.argv[-1], {})
        sys.exit()
    if spawn.is_forking(sys.argv):
        numbers = dict(argument.split("=") for argument in sys.argv[2:])
        spawn.spawn_main(**{name: int(number) for name, number in numbers.items()})
        sys.exit()


if os.environ.get("FROZEN"):
    import multiprocessing
    import multiprocessing.spawn

    sys.frozen = True
    sys.executable = EXECUTABLE
    multiprocessing.set_executable(EXECUTABLE)
    multiprocessing.process.ORIGINAL_DIR = None
    with open(STARTS, "a") as starts:
        starts.write("+")
    if os.path.getsize(STARTS) > 20:
        os._exit(77)
    multiprocessing.freeze_support = multiprocessing.spawn.freeze_support = freeze_support

    from subject import context, mp


def work(queue, lock):
    with lock:
        queue.put(mp.current_process().name)


def square(x):
    return x * x


def program():
    queue, lock = context.Queue(), context.Lock()
    child = context.Process(target=work, args=(queue, lock), name="child")
    child.start()
    print(queue.get(timeout=30))
    child.join()
    print(child.exitcode)
    with context.Pool(2, maxtasksperchild=1) as pool:
        print(pool.map(square, range(5), 1))


def main():
    with open(EXECUTABLE, "w") as launcher:
        launcher.write(f'#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} "$@"\n')
    os.chmod(EXECUTABLE, 0o700)
    environment = os.environ | {"FROZEN": "yes"}
    done = subprocess.run([EXECUTABLE], env=environment, stdout=subprocess.PIPE, text=True)
    print(done.returncode, done.stdout)


if __name__ == "__main__":
    if os.environ.get("FROZEN"):
        mp.freeze_support()
        program()
    else:
        main()
