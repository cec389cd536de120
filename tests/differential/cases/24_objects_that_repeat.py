"""What a value contains several times is one object again where it arrives, whatever its type."""
# methods: fork spawn

from concurrent.futures import ProcessPoolExecutor

from subject import context, mp, show

Executor = getattr(mp, "ProcessPoolExecutor", ProcessPoolExecutor)


def pattern(value):
    """The value's shape; an object that came before is its number."""
    seen = {}

    def walk(part):
        if id(part) in seen:
            return seen[id(part)]
        seen[id(part)] = len(seen)
        if isinstance(part, list | tuple):
            return [type(part).__name__, *map(walk, part)]
        return type(part).__name__

    return walk(value)


def values():
    """Made anew each time, so that no part is a constant of the program."""
    word, data, number = "-".join("word"), bytes(range(40)), int("123456789")
    words = [f"{i} words" for i in range(20)]
    pair = (word, data)
    inner = (pair, [pair, word])
    return {
        "texts": [word] * 3,
        "bytes": (data, [data], data),
        "large text": [word * 20_000] * 2,
        "large bytes": (data * 2000,) * 3,
        "two": ((data * 2,) * 2, [word * 2] * 2),
        "tuples": [pair, pair, (pair, data)],
        "twenty": [*words, *words],
        "reversed": (*words, *reversed(words)),
        "list within": (inner, inner),
        "numbers": [number, float(number), True, None, "", b"", ()] * 2,
        "two lists": [words, words, word, word],
        "tables": [{word: data, "again": word}, word],
    }


def given(name):
    return values()[name]


def same(value):
    return value


def put(queue):
    for value in values().values():
        queue.put(value)


def main():
    with context.Pool(1) as pool:
        for name, value in values().items():
            show(f"{name} as argument", lambda value=value: pool.apply(pattern, (value,)))
            show(f"{name} as result", lambda name=name: pattern(pool.apply(given, (name,))))
            twice = [value, value]
            show(f"{name} in a chunk", lambda twice=twice: pattern(pool.map(same, twice, 2)))
            show(f"{name} in two", lambda twice=twice: pattern(pool.map(same, twice, 1)))
        names = list(values())
        show("map_async", lambda: pool.map_async(pattern, values().values()).get())
        show("imap", lambda: [pattern(value) for value in pool.imap(given, names, 3)])
    with Executor(1, mp_context=context) as executor:
        show("executor", lambda: pattern(list(executor.map(given, names))))
    queue = context.Queue()
    child = context.Process(target=put, args=(queue,))
    child.start()
    show("queue", lambda: [pattern(queue.get()) for _ in names])
    child.join()
    reader, writer = context.Pipe(False)
    for name, value in values().items():
        if "large" not in name:
            writer.send(value)
            show(f"{name} in a pipe", lambda: pattern(reader.recv()))


if __name__ == "__main__":
    main()
