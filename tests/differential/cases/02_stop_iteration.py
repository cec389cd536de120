"""A StopIteration is an exception of its task like any other."""

import asyncio
import concurrent.futures

from subject import context, mp, show

Executor = getattr(mp, "ProcessPoolExecutor", concurrent.futures.ProcessPoolExecutor)


def first_of(items):
    return next(iter(items))


def pair(items, other):
    return next(iter(items)), other


def end_async(item):
    raise StopAsyncIteration(item)


def iterator(item):
    return iter([item, item])


class Source:
    """Ends at its third item, late and without a generator's help."""

    def __init__(self):
        self.left = 2

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration("no more")
        return "a"


def by_hand(results, count):
    """Take so many, whatever they are."""
    taken = []
    for _ in range(count):
        try:
            taken.append(next(results))
        except StopIteration as error:
            taken.append(("StopIteration", error.args))
    return taken


def called_back(pool):
    told = []
    result = pool.apply_async(
        first_of, ([],), error_callback=lambda error: told.append(repr(error))
    )
    result.wait()
    return result.successful(), told


async def awaited(pool):
    return await asyncio.get_running_loop().run_in_executor(pool, first_of, ["a"])


def main():
    mixed = ["a", [], "b", "c"]
    with context.Pool(1) as pool:
        show("apply", lambda: pool.apply(first_of, ([],)))
        show("apply_async", lambda: pool.apply_async(first_of, ([],)).get())
        show("callback", lambda: called_back(pool))
        for name in ("imap", "imap_unordered"):
            show(f"{name} in a loop", lambda: list(getattr(pool, name)(first_of, mixed)))
            show(f"{name} by hand", lambda: by_hand(getattr(pool, name)(first_of, mixed), 4))
        show("StopAsyncIteration", lambda: pool.map(end_async, [1, 2]))
        show("StopAsyncIteration, imap", lambda: list(pool.imap(end_async, [1, 2])))
        show("iterators", lambda: [list(got) for got in pool.map(iterator, range(3))])
        for chunksize in (1, 2, 3):
            show("source, map", lambda: pool.map(first_of, Source(), chunksize))
            show("source, imap", lambda: list(pool.imap(first_of, Source(), chunksize)))
    with Executor(1, mp_context=context) as executor:
        show("submit", lambda: executor.submit(first_of, []).result())
        show("submit, exception", lambda: executor.submit(first_of, []).exception())
        for chunksize in (1, 2, 10):
            show("executor.map", lambda: list(executor.map(first_of, mixed, chunksize=chunksize)))
            show(
                "executor.map of two",
                lambda: list(executor.map(pair, mixed, "abcd", chunksize=chunksize)),
            )
        show("awaited", lambda: asyncio.run(awaited(executor)))


if __name__ == "__main__":
    main()
