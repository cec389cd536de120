"""What a message brought is its receiver's own, and a fork gives each child a copy of it."""
# methods: fork
# needs: numpy

import os
import threading

import numpy as np
from subject import context, show

WAYS = {}
SIZES = (1000, 80_000, 1_600_000)


def way(cls):
    WAYS[cls.__name__.lower()] = cls
    return cls


def filled(length, number):
    return np.full(length, number, dtype="u1")


def filled_bytearray(length, number):
    return bytearray([number]) * length


def identity(value):
    return value


@way
class Result:
    """From a task."""

    make = staticmethod(filled)

    def __init__(self):
        self.pool = context.Pool(1)

    def receive(self, length, number):
        return np.asarray(memoryview(self.pool.apply(self.make, (length, number))))

    def close(self):
        self.pool.terminate()
        self.pool.join()


@way
class ByteArray(Result):
    make = staticmethod(filled_bytearray)


@way
class Queue:
    def __init__(self):
        self.queue = context.Queue()

    def receive(self, length, number):
        self.queue.put(filled(length, number))
        return self.queue.get()

    def close(self):
        self.queue.close()
        self.queue.join_thread()


@way
class Nested(Queue):
    """As part of something else."""

    def receive(self, length, number):
        self.queue.put({"name": ("a", [filled(length, number)])})
        return self.queue.get()["name"][1][0]


@way
class Pipe:
    def __init__(self):
        self.reader, self.writer = context.Pipe(duplex=False)

    def receive(self, length, number):
        sender = threading.Thread(target=self.writer.send, args=(filled(length, number),))
        sender.start()
        received = self.reader.recv()
        sender.join()
        return received

    def close(self):
        self.reader.close()
        self.writer.close()


def summary(array):
    """The values in an array, and how often each is there."""
    counts = np.bincount(array)
    return {value: count for value, count in enumerate(counts.tolist()) if count}


class Child:
    """A forked process that answers calls."""

    def __init__(self, **calls):
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=self.serve, args=(theirs, calls))
        self.process.start()
        theirs.close()

    def serve(self, connection, calls):
        self.ours.close()
        while (name := connection.recv()) is not None:
            connection.send(calls[name]())

    def __call__(self, name):
        self.ours.send(name)
        return self.ours.recv()

    def end(self):
        self.ours.send(None)
        self.process.join()
        self.ours.close()


def child_of(array, number):
    def write():
        array[number] = number
        array[-number] = number
        return summary(array)

    return Child(write=write, look=lambda: summary(array))


def each_writes(source, length):
    """Several children and their parent each change their own copy."""
    array = source.receive(length, 100)
    array[50] = 50
    children = [child_of(array, number) for number in (1, 2, 3)]
    told = [child("write") for child in children]
    array[4] = 4
    told += [child("look") for child in children]
    for child in children:
        child.end()
    return told, summary(array)


def parent_lets_go(source, length):
    """The parent lets go of it and receives other messages; the child still has what it had."""
    array = source.receive(length, 100)
    child = child_of(array, 1)
    del array
    others = [source.receive(length, number) for number in range(110, 120)]
    told = [child("look"), child("write"), child("look")]
    for number in range(120, 130):
        source.receive(length, number)[:] = 0
    told.append(child("look"))
    child.end()
    return told, [summary(other) for other in others]


def child_lets_go(source, length):
    """A child lets go of it, and receives others; the parent still has what it had."""
    held = [source.receive(length, 100)]
    kept = [source.receive(length, 101)]

    def let_go():
        held.clear()
        own = type(source)()
        got = [summary(own.receive(length, number)) for number in range(110, 114)]
        own.close()
        return got, summary(kept[0])

    child = Child(let_go=let_go)
    told = child("let_go")
    child.end()
    return told, summary(held[0]), summary(kept[0])


def grandchildren(source, length):
    """A child of a child, whose parent is gone."""
    array = source.receive(length, 100)
    ours, theirs = context.Pipe()
    middle = os.fork()
    if middle == 0:
        array[1] = 1
        if os.fork() == 0:
            array[2] = 2
            theirs.send((summary(array), theirs.recv(), summary(array)))
        os._exit(0)
    os.waitpid(middle, 0)
    del array
    for number in range(110, 120):
        source.receive(length, number)
    ours.send("look again")
    told = ours.recv()
    ours.close()
    theirs.close()
    return told


def fork_before_receipt(source, length):
    """What is received after a fork is as private, and so it is for children forked later."""
    Child().end()
    array = source.receive(length, 100)
    first = child_of(array, 1)
    array[5] = 5
    second = child_of(array, 2)
    told = [first("write"), second("write"), first("look"), summary(array)]
    first.end()
    second.end()
    return told


def many_held(source, length):
    """Several are held, some of them from before an earlier fork."""
    arrays = [source.receive(length, number) for number in range(100, 104)]
    first = Child(look=lambda: [summary(array) for array in arrays])
    arrays += [source.receive(length, number) for number in range(104, 108)]
    arrays[0][0] = arrays[5][0] = 1
    second = Child(look=lambda: [summary(array) for array in arrays])
    for array in arrays:
        array[1] = 2
    del arrays[::2]
    for number in range(110, 120):
        source.receive(length, number)
    told = [first("look"), second("look"), [summary(array) for array in arrays]]
    first.end()
    second.end()
    return told


def other_thread_writes(source, length):
    """A thread writes while others fork; nothing that it wrote is lost."""
    array = source.receive(length, 0)
    is_over = threading.Event()
    rounds = 0

    def write():
        nonlocal rounds
        while not is_over.is_set() or rounds < 100:
            np.add(array[::97], 1, out=array[::97])
            rounds += 1

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        Child().end()
    is_over.set()
    writer.join()
    return summary(array[::97]) == {rounds % 256: len(array[::97])}


def write_in_workers(source, length):
    """The workers of a pool that is made later each have a copy."""
    global inherited
    inherited = source.receive(length, 100)
    with context.Pool(2) as pool:
        told = pool.map(write_inherited, range(1, 9), chunksize=1)
    kept, inherited = inherited, None
    return told, summary(kept)


def write_inherited(number):
    inherited[:] = number
    return inherited[0] == number == inherited[-1]


def argument_in_forking_task(array):
    """A task forks; its child changes the argument."""
    array[0] = 1
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        array[1] = 2
        os._exit(int(summary(array) != {1: 1, 2: 1, 100: len(array) - 2}))
    array[2] = 3
    os.write(writer, b"x")
    status = os.waitpid(child, 0)[1]
    os.close(reader)
    os.close(writer)
    return status, summary(array)


def main():
    for name, kind in WAYS.items():
        source = kind()
        for length in SIZES:
            for scenario in SCENARIOS[: 2 if length == SIZES[0] else None]:
                what = f"{name} of {length}, {scenario.__name__}"
                show(what, lambda: scenario(source, length))
        source.close()
    with context.Pool(1) as pool:
        for length in SIZES:
            arguments = [(filled(length, 100),)] * 3
            show(f"argument of {length}", lambda: pool.starmap(argument_in_forking_task, arguments))
            show(f"and back, {length}", lambda: summary(pool.apply(identity, arguments[0])))


SCENARIOS = (
    each_writes,
    parent_lets_go,
    child_lets_go,
    grandchildren,
    fork_before_receipt,
    many_held,
    other_thread_writes,
    write_in_workers,
)
inherited = None

if __name__ == "__main__":
    main()
