"""Arrays of all kinds and sizes arrive writable, and owned or not, as by plain Python."""
# methods: fork spawn
# needs: numpy

import array
import mmap

import numpy as np
from subject import context, show


class Child(np.ndarray):
    pass


def frozen(values):
    values.setflags(write=False)
    return values


def values(n):
    """Arrays of some n words, by what is special about them."""
    return {
        "plain": np.arange(n) * 1.0,
        "read-only": frozen(np.arange(n)),
        "frombuffer": np.frombuffer(bytes(8 * n), dtype="i8"),
        "memory map": np.frombuffer(mmap.mmap(-1, 8 * n), dtype="i8"),
        "broadcast": np.broadcast_to(np.float64(1), (n,)),
        "broadcast rows": np.broadcast_to(np.arange(5), (n // 5, 5)),
        "strided": np.arange(2 * n)[::2],
        "reversed": np.arange(n)[::-1],
        "rows": np.arange(n).reshape(5, -1),
        "columns": np.asfortranarray(np.arange(n).reshape(5, -1)),
        "frozen columns": frozen(np.asfortranarray(np.arange(n).reshape(5, -1))),
        "neither": np.arange(n).reshape(5, 2, -1).transpose(1, 0, 2),
        "swapped": np.arange(n).astype(">i8"),
        "fields": np.zeros(n, dtype=[("a", "i4"), ("b", ">f4")]),
        "aligned fields": np.zeros(n, dtype=np.dtype("i1, f8", align=True)),
        "times": np.arange(n).astype("M8[s]"),
        "spans": frozen(np.arange(n).astype("m8[ms]")),
        "flags": np.arange(n) % 3 == 0,
        "complex": frozen(np.arange(n) * 1j),
        "wide": np.arange(n).astype("longdouble"),
        "texts": np.arange(n).astype("U8"),
        "bytes": np.arange(n).astype("S8"),
        "raw": np.zeros(n, dtype="V8"),
        "objects": np.array([None, "text"] * (n // 2)),
        "subclass": frozen(np.arange(n).view(Child)),
        "matrix": np.matrix(np.ones((n // 5, 5))),
        "records": np.zeros(n, dtype=[("x", "f8")]).view(np.recarray),
        "masked": np.ma.masked_equal(np.arange(n), 3),
        "big cells": np.zeros(n, dtype=[("m", "f8", (2, 2))]),
    }


def describe(received):
    """What programs rely on, and the first of what they do to their own copy."""
    told = [type(received).__name__, received.dtype.str, received.shape, received.strides]
    flags = received.flags
    told += [flags.writeable, flags.owndata, flags.c_contiguous, flags.f_contiguous, flags.aligned]
    told += [received.base is None, repr(received.ravel()[:3]), repr(received.ravel()[-1:])]
    changes = {
        "change": lambda: received.__setitem__(Ellipsis, received.ravel()[0]),
        "freeze": lambda: (received.setflags(write=False), received.fill(0)),
        "resize": lambda: received.resize((3,)),
    }
    for name, change in changes.items():
        try:
            change()
            told.append(name)
        except Exception as error:
            told.append(f"{name}: {type(error).__name__}")
    return told


def make(n, name):
    return values(n)[name]


def describe_from(source, sink):
    while (received := source.get()) is not None:
        sink.put(describe(received))


def describe_from_pipe(connection):
    while (received := connection.recv()) is not None:
        connection.send(describe(received))


def change(a):
    a[0] += 42
    return a[0], a[-1]


def pairs(both):
    """Whether two names of one array still are one."""
    first, second = both
    first[0] = 7
    return first is second, second[0]


def others(n):
    """What is no array of numpy."""
    return [bytes(n), bytearray(n), array.array("d", range(n // 8))]


def describe_other(received):
    told = [type(received).__name__, len(received), memoryview(received).readonly]
    try:
        received[0] = 1
        told.append(received[0])
    except TypeError as error:
        told.append(type(error).__name__)
    try:
        told.append(received.pop())
    except AttributeError:
        told.append(hash(received) == hash(bytes(received)))
    return told


def main():
    source, sink = context.Queue(), context.Queue()
    ours, theirs = context.Pipe()
    with context.Pool(1) as pool:
        from_queue = context.Process(target=describe_from, args=(source, sink), daemon=True)
        from_pipe = context.Process(target=describe_from_pipe, args=(theirs,), daemon=True)
        from_queue.start()
        from_pipe.start()
        for n in (10, 130, 5000, 100_000):
            for name, value in values(n).items():
                what = f"{n} {name}"
                show(f"{what}, argument", lambda value=value: pool.apply(describe, (value,)))
                show(f"{what}, item", lambda value=value: pool.map(describe, [value, value]))
                show(f"{what}, result", lambda: describe(pool.apply(make, (n, name))))
                source.put(value)
                show(f"{what}, queue", sink.get)
                ours.send(value)
                show(f"{what}, pipe", ours.recv)
            twice = frozen(np.arange(n))
            show(f"{n} one twice", lambda: pool.apply(pairs, ((twice, twice),)))
            show(f"{n} the sender's", lambda: (pool.apply(change, (twice,)), twice[0]))
            for other in others(8 * n):
                show(
                    f"{n} {type(other).__name__}",
                    lambda other=other: pool.apply(describe_other, (other,)),
                )
                show(f"{n} in a list", lambda other=other: pool.map(describe_other, [other]))
        for empty in (np.array(5.0), frozen(np.array(5.0)), np.zeros((0, 3)), frozen(np.zeros(0))):
            show(f"shape {empty.shape}", lambda empty=empty: pool.apply(describe_empty, (empty,)))
        source.put(None)
        ours.send(None)
        from_queue.join()
        from_pipe.join()


def describe_empty(received):
    told = [received.shape, received.flags.writeable, received.flags.owndata]
    received[...] = 3
    return [*told, received.tolist()]


if __name__ == "__main__":
    main()
