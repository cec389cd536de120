"""Has a pool while no descriptor is left: want_descriptors.py METHOD."""

import errno
import os
import resource
import signal
import sys

import millpond


def pid(_: object) -> int:
    return os.getpid()


if __name__ == "__main__":
    with millpond.get_context(sys.argv[1]).Pool(2) as pool:
        pids = set(pool.map(pid, range(50), chunksize=1))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        print(pool.map(abs, range(3)), len(pool.apply(bytes, (1 << 20,))))
        for worker in pids:
            os.kill(worker, signal.SIGKILL)
        waiting = pool.apply_async(abs, (-3,))
        for descriptor in taken:
            os.close(descriptor)
        print(waiting.get(), pool.map(abs, range(3)))
