"""What the input of `imap` raises comes in its place; items that do not pickle fail alone."""

import threading

from subject import context, show


def double(x):
    return 2 * x


def fails_after(count):
    yield from range(count)
    raise LookupError(f"ran dry after {count}")


class FailsAtOnce:
    def __iter__(self):
        raise LookupError("no iterator")


class FailsOnce:
    """An iterator that could go on behind its failure."""

    def __init__(self):
        self.next = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.next += 1
        if self.next == 3:
            raise LookupError("third")
        if self.next > 5:
            raise StopIteration
        return self.next


def by_hand(results):
    taken = []
    while True:
        try:
            taken.append(next(results))
        except StopIteration:
            return taken
        except Exception as error:
            taken.append(type(error).__name__)


def main():
    with context.Pool(1) as pool:
        for name in ("imap", "imap_unordered"):
            call = getattr(pool, name)
            for count in (0, 1, 5):
                show(
                    f"{name}, fails after {count}",
                    lambda: by_hand(call(double, fails_after(count))),
                )
            show(f"{name}, called only", lambda: call(double, fails_after(0)) and "returned")
            show(f"{name}, no iterable, called only", lambda: call(double, 5) and "returned")
            show(f"{name}, no iterable", lambda: by_hand(call(double, 5)))
            show(f"{name}, no iterator", lambda: by_hand(call(double, FailsAtOnce())))
            show(f"{name}, fails once", lambda: by_hand(call(double, FailsOnce())))
            for chunksize in (2, 3):
                show(
                    f"{name}, fails in chunks of {chunksize}",
                    lambda: by_hand(call(double, fails_after(5), chunksize)),
                )
                show(f"{name}, no iterable", lambda: by_hand(call(double, 5, chunksize)))
        items = [1, threading.Lock(), 3]
        show("items that do not pickle", lambda: by_hand(pool.imap(double, items)))
        show("from a generator", lambda: by_hand(pool.imap(double, (item for item in items))))
        show("no such size", lambda: pool.imap(double, [1], 0))
        show("still works", lambda: pool.map(double, [1, 2]))


if __name__ == "__main__":
    main()
