"""A child process says which process it is."""

from multiprocessing import Process, current_process


def introduce():
    me = current_process()
    print(f"I am {me.name} and my pid is {me.pid}")


if __name__ == "__main__":
    child = Process(target=introduce)
    child.start()
    child.join()
    print(f"The parent started pid {child.pid}")
