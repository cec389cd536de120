"""Two processes with different targets read a list that they inherit by fork.

The list exists only in the parent's `__main__` when the children are forked: it is neither
an argument nor made at import. Under the start methods spawn and forkserver it would be missing.
"""

import multiprocessing


def add_up():
    print(f"The sum is {sum(prices)}")


def find_dearest():
    print(f"The dearest costs {max(prices)}")


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    prices = [12, 5, 31, 8]
    adder = multiprocessing.Process(target=add_up)
    finder = multiprocessing.Process(target=find_dearest)
    adder.start()
    finder.start()
    adder.join()
    finder.join()
