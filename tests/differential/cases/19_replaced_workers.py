"""A worker that takes another's place sees the program as it is by then."""
# methods: fork spawn
# ways: import install

import json
import os
import sys
import tempfile

from subject import context, mp

CONFIG = {"version": 0}
SETTINGS = ["initial"]


def initialize(settings):
    global initialized
    initialized = list(settings)


def look(_):
    old = os.umask(0o77)
    os.umask(old)
    return (
        CONFIG["version"],
        initialized,
        os.environ.get("VERSION"),
        os.path.basename(os.getcwd()),
        oct(old),
        sys.path[-1],
        sys.argv[1:],
    )


def deep(_):
    """Nested as deep as a main thread's stack allows without effort."""
    value = []
    for _ in range(900):
        value = [value]
    return len(json.dumps(value))


def identity(_):
    process = mp.current_process()
    return process._identity, process.name.rsplit("-", 1)[1]


def change(number, base):
    CONFIG["version"] = number
    SETTINGS.append(number)
    os.environ["VERSION"] = str(number)
    os.mkdir(f"{base}/dir{number}")
    os.chdir(f"{base}/dir{number}")
    os.umask(0o20 + number)
    sys.path.append(f"/extra/{number}")
    sys.argv[1:] = [f"--version={number}"]


def main():
    sys.path.append("/extra/none")
    with (
        tempfile.TemporaryDirectory() as base,
        context.Pool(1, initialize, (SETTINGS,), maxtasksperchild=1) as pool,
    ):
        for number in range(1, 4):
            pool.apply(abs, (0,))
            change(number, base)
            # One is there already, and one may be on its way.
            pool.apply(abs, (0,))
            pool.apply(abs, (0,))
            print(number, pool.apply(look, (0,)))
        print(pool.apply(deep, (0,)))
        os.chdir("/")
    with context.Pool(2, maxtasksperchild=1) as pool, context.Pool(1) as other:
        seen = pool.map(identity, range(6), chunksize=1)
        seen.append(other.apply(identity, (0,)))
        process = context.Process(target=abs, args=(0,))
        process.start()
        process.join()
        seen.append((process._identity, process.name.rsplit("-", 1)[1]))
        print("distinct:", len({number for number, _ in seen}), len({text for _, text in seen}))


if __name__ == "__main__":
    main()
