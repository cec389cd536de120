"""A server restarts itself by exec while it has a pool: nothing of the pool lives on."""
# methods: fork spawn forkserver

import os
import sys
import time

from subject import context

MARK = "RESTARTED"


def living():
    """The processes of this program but itself, zombies apart."""
    group, found = os.getpgid(0), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                state, _, its_group = stat.read().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z" and int(pid) != os.getpid():
            found.append(int(pid))
    return found


def main():
    times = int(os.environ.get(MARK, "0"))
    if times < 2:
        pool = context.Pool(2)
        print(pool.map(abs, range(4)), flush=True)
        child = os.fork()
        if child == 0:
            # A child that the server forked does not keep the pool alive.
            while os.getppid() == os.getpgid(0) and MARK not in read_environment(os.getppid()):
                time.sleep(0.01)
            os._exit(0)
        os.environ[MARK] = str(times + 1)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    patience = time.monotonic() + 30
    while living() and time.monotonic() < patience:
        time.sleep(0.01)
    print("alive:", len(living()))


def read_environment(pid):
    with open(f"/proc/{pid}/environ") as environ:
        return environ.read()


if __name__ == "__main__":
    main()
