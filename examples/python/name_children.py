"""Children are given names and know them."""

from multiprocessing import Process, current_process


def say_name():
    print(f"{current_process().name} at work")


if __name__ == "__main__":
    children = [Process(target=say_name, name=f"Child {number}") for number in (1, 2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        print(f"{child.name} joined")
