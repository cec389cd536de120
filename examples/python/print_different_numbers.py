"""Four processes run the same function, each with a number of its own."""

import multiprocessing


def show(number):
    print(f"My number is {number}")


if __name__ == "__main__":
    children = []
    for number in (3, 14, 15, 92):
        child = multiprocessing.Process(target=show, kwargs={"number": number})
        child.start()
        children.append(child)
    for child in children:
        child.join()
