"""A child puts the even numbers of a range on a queue; the parent takes them off."""

from multiprocessing import Process, Queue


def put_even_numbers(queue, stop):
    for number in range(stop):
        if number % 2 == 0:
            queue.put(number)
    queue.put(None)  # no more to come


if __name__ == "__main__":
    queue = Queue()
    child = Process(target=put_even_numbers, args=(queue, 20))
    child.start()
    for number in iter(queue.get, None):
        print(number)
    child.join()
