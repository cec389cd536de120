"""A child sends a list to its parent through one end of a pipe."""

from multiprocessing import Pipe, Process


def send_shopping_list(connection):
    connection.send(["bread", "milk", 2, None, {"apples": 6}])
    connection.close()


if __name__ == "__main__":
    parent_end, child_end = Pipe()
    child = Process(target=send_shopping_list, args=(child_end,))
    child.start()
    print(parent_end.recv())
    child.join()
