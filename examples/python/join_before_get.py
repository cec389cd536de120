"""Four workers put their results on one queue and are joined before the results are read."""

from multiprocessing import Process, Queue


def add_up(queue):
    queue.put(sum(range(1_000_000)))


if __name__ == "__main__":
    queue = Queue()
    workers = [Process(target=add_up, args=(queue,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print([queue.get() for _ in workers])
