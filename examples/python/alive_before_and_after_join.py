"""`is_alive` tells whether a child still runs."""

from multiprocessing import Event, Process


def wait_for(bell):
    bell.wait()


if __name__ == "__main__":
    bell = Event()
    child = Process(target=wait_for, args=(bell,))
    print("before start:", child.is_alive())
    child.start()
    print("before join: ", child.is_alive())
    bell.set()
    child.join()
    print("after join:  ", child.is_alive(), "with exit code", child.exitcode)
