"""A task works on its own copy of a callable, as the caller has it at that moment."""
# methods: fork spawn

import functools
import random

from subject import context, show


class Model:
    def __init__(self):
        self.calls = 0
        self.factor = 1
        self.random = random.Random(7)

    def __call__(self, x):
        self.calls += 1
        return self.calls, self.factor * x, self.random.random()

    def method(self, x):
        self.calls += 1
        return self.calls, self.factor * x


def accumulate(bag, x):
    bag.append(x)
    return list(bag)


def main():
    with context.Pool(1) as pool:
        model = Model()
        show("callable, apply", lambda: [pool.apply(model, (i,)) for i in range(4)])
        model.factor = 10
        show("changed by the caller", lambda: [pool.apply(model, (i,)) for i in range(4)])
        show("bound method", lambda: [pool.apply(model.method, (i,)) for i in range(3)])
        model.factor = 100
        show("changed by the caller", lambda: [pool.apply(model.method, (i,)) for i in range(3)])
        for chunksize in (1, 2, 3):
            show(f"map, chunks of {chunksize}", lambda: pool.map(model, range(4), chunksize))
            show(
                f"imap, chunks of {chunksize}", lambda: list(pool.imap(model, range(4), chunksize))
            )
        partial = functools.partial(accumulate, [])
        show("partial, apply", lambda: [pool.apply(partial, (i,)) for i in range(3)])
        asked = [pool.apply_async(partial, (i,)) for i in range(3)]
        show("partial, apply_async", lambda: [result.get() for result in asked])
        show("partial, map", lambda: pool.map(partial, range(3), chunksize=1))
        partial.args[0].append("seen")
        show("changed by the caller", lambda: pool.apply(partial, (0,)))
        other = functools.partial(accumulate, [])
        show("starmap", lambda: pool.starmap(other, [(1,), (2,), (3,)], chunksize=1))
        bag = []
        show("arguments", lambda: [pool.apply(accumulate, (bag, i)) for i in range(3)])


if __name__ == "__main__":
    main()
