"""The comparison of the README: what goes wrong, and what then happens, in each library.

`cargo xtask bench comparison [--libraries NAME …] [--save]`. It measures no speed. Each situation
runs with each library in a process of its own, which is killed when it has not ended in time: then
the library waits for ever, as far as anybody can tell.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import kept

# In seconds. Whatever does not hang ends in two or three.
LIMIT = 30
CALLS = 20
HANGS = "waits for ever"

# `submit(function, argument)` returns what has `get()` or `result()`.
Submit = Callable[[Callable[[Any], Any], Any], Any]


def _pool(module: str) -> Callable[[], tuple[Any, Submit]]:
    def make() -> tuple[Any, Submit]:
        pool = importlib.import_module(module).Pool(2)
        return pool, lambda function, argument: pool.apply_async(function, (argument,))

    return make


def _executor(module: str) -> Callable[[], tuple[Any, Submit]]:
    def make() -> tuple[Any, Submit]:
        executor = importlib.import_module(module).ProcessPoolExecutor(2)
        return executor, executor.submit

    return make


def _mpire() -> tuple[Any, Submit]:
    from mpire.pool import WorkerPool

    pool = WorkerPool(n_jobs=2)
    return pool, lambda function, argument: pool.apply_async(function, args=(argument,))


def _pebble() -> tuple[Any, Submit]:
    from pebble import ProcessPool

    pool = ProcessPool(max_workers=2)
    return pool, lambda function, argument: pool.schedule(function, args=(argument,))


LIBRARIES: dict[str, Callable[[], tuple[Any, Submit]]] = {
    "millpond": _pool("millpond"),
    "multiprocessing": _pool("multiprocessing"),
    "concurrent.futures": _executor("concurrent.futures"),
    "loky": _executor("loky"),
    "mpire": _mpire,
    "pebble": _pebble,
    "billiard": _pool("billiard"),
}


def result_of(call: Any) -> Any:
    return (call.get if hasattr(call, "get") else call.result)()


# What workers do.


def slowly(number: int) -> int:
    time.sleep(0.05)
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class Stubborn(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("stubborn")


def raise_stubborn(number: int) -> int:
    if number == 5:
        raise Stubborn(1, 2)
    return number


def exit_at_once(number: int) -> int:
    if number == 5:
        sys.exit(3)
    return number


# Situations; each prints the outcome.


def _count(submit: Submit, function: Callable[[Any], Any]) -> str:
    """Make some calls of which one fails, and tell what became of them and of the next."""
    got, errors = 0, []
    try:
        calls = [submit(function, number) for number in range(CALLS)]
    except Exception as error:
        return f"the pool is broken: {type(error).__name__}"
    for call in calls:
        try:
            result_of(call)
            got += 1
        except BaseException as error:
            errors.append(type(error).__name__)
    # Should the next call wait for ever, what is known is printed.
    names = " and ".join(sorted(set(errors))) or "no error"
    print(f"{got} of {CALLS} results, {names}", end="", flush=True)
    try:
        goes_on = result_of(submit(abs, -7)) == 7
    except BaseException:
        goes_on = False
    return "" if goes_on else "; the pool is broken"


def killed_worker(submit: Submit) -> str:
    return _count(submit, slowly)


def sys_exit(submit: Submit) -> str:
    return _count(submit, exit_at_once)


def bad_exception(submit: Submit) -> str:
    return _count(submit, raise_stubborn)


def lambdas(submit: Submit) -> str:
    added = 40
    try:
        return "works" if result_of(submit(lambda number: number + added, 2)) == 42 else "wrong"
    except Exception as error:
        return type(error).__name__


def _where(array: Any) -> str:
    """Whether an array lies in memory that came from another process."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span = line.partition(" ")[0]
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            return "in place" if "memfd" in line or "/dev/shm" in line else "copied"
    return "nowhere"


def arrays(submit: Submit) -> str:
    import numpy as np

    return str(result_of(submit(_where, np.ones(1_000_000))))


def lock_of_the_dead(library: str) -> str:
    """What happens to a lock whose holder is killed; libraries without locks have none."""
    module = importlib.import_module(library)
    if not hasattr(module, "Lock"):
        return "no locks"
    context = module.get_context("fork")
    lock, held = context.Lock(), context.Event()
    child = context.Process(target=_hold, args=(lock, held))
    child.start()
    held.wait()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    try:
        lock.acquire()
    except Exception as error:
        return f"{type(error).__name__}, then free" if lock.acquire(timeout=5) else "still taken"
    return "acquired, and nothing is said"


def _hold(lock: Any, held: Any) -> None:
    lock.acquire()
    held.set()
    signal.pause()


def join_before_get(library: str) -> str:
    """Whether a process that has put 1 MB can be joined before that is taken."""
    module = importlib.import_module(library)
    if not hasattr(module, "Queue"):
        return "no queues"
    context = module.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=queue.put, args=(b"x" * 1_000_000,))
    child.start()
    child.join()
    return "works" if len(queue.get()) == 1_000_000 else "wrong"


OF_POOLS: dict[str, tuple[str, Callable[[Submit], str]]] = {
    "killed_worker": (f"one of {CALLS} calls kills its worker", killed_worker),
    "sys_exit": (f"one of {CALLS} calls ends by `sys.exit`", sys_exit),
    "bad_exception": (
        f"one of {CALLS} calls raises an exception that does not unpickle", bad_exception
    ),
    "lambdas": ("a lambda is called", lambdas),
    "arrays": ("an array of 8 MB as an argument", arrays),
}  # fmt: skip
OF_LIBRARIES: dict[str, tuple[str, Callable[[str], str]]] = {
    "lock_of_the_dead": ("`acquire` of a lock whose holder was killed", lock_of_the_dead),
    "join_before_get": ("`join` of a process that has put 1 MB in a queue", join_before_get),
}
TITLES = {name: title for name, (title, _) in (*OF_POOLS.items(), *OF_LIBRARIES.items())}


def run(situation: str, library: str) -> None:
    """One situation with one library, in this process."""
    if situation in OF_POOLS:
        _, submit = LIBRARIES[library]()
        print(OF_POOLS[situation][1](submit), flush=True)
    else:
        print(OF_LIBRARIES[situation][1](library), flush=True)
    # Some pools never end after a failure.
    os.killpg(0, signal.SIGKILL)


def outcome(situation: str, library: str) -> str:
    print(f"{library}: {situation}", file=sys.stderr, flush=True)
    argv = [sys.executable, __file__, "--run", situation, library]
    program = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    )
    try:
        output, _ = program.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        output, _ = program.communicate()
        return f"{output}; the next call {HANGS}" if output.strip() else HANGS
    return output.strip() or "the program ends"


def version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return f"of CPython {sys.version.split()[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="cargo xtask bench comparison", description=__doc__)
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--save", action="store_true", help="keep the report in runs/")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(*arguments.run)
    lines = [
        "| situation | " + " | ".join(arguments.libraries) + " |",
        "|---" * (len(arguments.libraries) + 1) + "|",
        "| version | " + " | ".join(map(version, arguments.libraries)) + " |",
    ]
    for situation, title in TITLES.items():
        cells = [outcome(situation, library) for library in arguments.libraries]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + f"\n\n`{HANGS}`: had not ended after {LIMIT} s.\n"
    print(text)
    if arguments.save:
        title = f"# Comparison, {kept.today()}\n\nBy `cargo xtask bench comparison`.\n\n"
        (kept.RUNS / f"{kept.today()}-comparison.md").write_text(title + text)


if __name__ == "__main__":
    main()
