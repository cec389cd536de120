"""The target of a process forks and returns in both: the child ends as the process does."""

import os
import sys

from subject import context


def fork_and(action):
    child = os.fork()
    if child == 0:
        action()
    else:
        print("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def nothing():
    pass


def write():
    sys.stdout.write("written, not flushed\n")


def exit_seven():
    sys.exit(7)


def fail():
    raise ValueError("on purpose")


def main():
    for action in (nothing, write, exit_seven, fail):
        process = context.Process(target=fork_and, args=(action,))
        process.start()
        process.join()
        print(action.__name__, process.exitcode, flush=True)


if __name__ == "__main__":
    main()
