"""When threads win and when processes do: an I/O-bound and a CPU-bound function, both ways."""

import time
from multiprocessing import Process
from threading import Thread

JOBS = 4


def wait_for_reply():
    """I/O-bound: the time goes by while somebody else works."""
    time.sleep(0.2)


def count_primes():
    """CPU-bound: the time goes into Python code, of which one thread runs at once."""
    sum(all(n % divisor for divisor in range(2, n)) for n in range(2, 3000))


def one_after_another(function):
    for _ in range(JOBS):
        function()


def in_threads(function):
    run_all([Thread(target=function) for _ in range(JOBS)])


def in_processes(function):
    run_all([Process(target=function) for _ in range(JOBS)])


def run_all(workers):
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def seconds(way, function):
    start = time.perf_counter()
    way(function)
    return time.perf_counter() - start


WAYS = {"in turn": one_after_another, "threads": in_threads, "processes": in_processes}
FUNCTIONS = {"I/O-bound": wait_for_reply, "CPU-bound": count_primes}

if __name__ == "__main__":
    print(f"{JOBS} jobs   " + "".join(f"{way:>12}" for way in WAYS))
    conclusions = []
    for kind, function in FUNCTIONS.items():
        times = {name: seconds(way, function) for name, way in WAYS.items()}
        print(f"{kind:9}" + "".join(f"{spent:10.2f} s" for spent in times.values()))
        conclusions.append(f"{kind}: {min(times, key=times.get)} came first.")
    print()
    print("\n".join(conclusions))
    print("Threads are cheap and enough for waiting; only processes share out the computing.")
