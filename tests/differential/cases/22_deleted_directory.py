"""A working directory that was deleted, which forked children do not need."""
# ways: import install

import os

from subject import context, show


def square(x):
    return x * x


def put(queue):
    queue.put(os.getpid() != os.getppid())


def main():
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")

    def in_pool():
        with context.Pool(1, maxtasksperchild=1) as pool:
            return [pool.apply(square, (i,)) for i in range(3)]

    show("pool, with workers that are replaced", in_pool)

    def in_child():
        queue = context.Queue()
        process = context.Process(target=put, args=(queue,))
        process.start()
        item = queue.get()
        process.join()
        return item, process.exitcode

    show("process", in_child)
    show("directory", os.getcwd)


if __name__ == "__main__":
    main()
