"""What a fresh installation must be able to do; it needs nothing but millpond.

`cargo xtask wheels` and `cargo xtask test` run it in a new environment outside of the project. It
prints a line for each thing that worked.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import sysconfig
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import millpond
from millpond.synchronize import Event, Lock


def square(number: int) -> int:
    return number * number


def die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def put_squares(queue: millpond.Queue[int], lock: Lock, total: Any) -> None:
    for number in range(5):
        queue.put(number * number)
        with lock:
            total.value += number * number


def hold(lock: Lock, held: Event) -> None:
    lock.acquire()
    held.set()
    signal.pause()


def package() -> None:
    """It lies in the environment, whole, and says its version."""
    home = Path(millpond.__file__).parent
    assert home.is_relative_to(sysconfig.get_path("platlib")), home
    assert importlib.metadata.version("millpond") == millpond.__version__
    assert (home / "py.typed").is_file()
    assert (home.parent / "millpond_install.pth").is_file()


def pool() -> None:
    with millpond.Pool(2) as workers:
        assert workers.map(square, range(100)) == [n * n for n in range(100)]
        assert workers.apply(lambda x: x + 1, (41,)) == 42
        assert list(workers.imap(square, range(10))) == [n * n for n in range(10)]


def killed_worker() -> None:
    with millpond.Pool(2) as workers:
        dead, alive = workers.apply_async(die, (0,)), workers.map_async(square, range(50))
        assert alive.get(timeout=30) == [n * n for n in range(50)]
        try:
            dead.get(timeout=30)
        except millpond.WorkerCrashed as crash:
            told = str(crash)
        assert "SIGKILL" in told, told
        assert workers.apply(square, (7,)) == 49


def start_methods() -> None:
    for method in millpond.get_all_start_methods():
        context = millpond.get_context(method)
        with context.Pool(1) as workers:
            assert workers.apply(square, (3,)) == 9
        queue, lock, total = context.Queue(), context.Lock(), context.Value("i", 0)
        child = context.Process(target=put_squares, args=(queue, lock, total))
        child.start()
        child.join()
        assert [queue.get() for _ in range(5)] == [0, 1, 4, 9, 16]
        assert total.value == 30


def killed_owner() -> None:
    context = millpond.get_context("fork")
    lock, held = context.Lock(), context.Event()
    child = context.Process(target=hold, args=(lock, held))
    child.start()
    held.wait()
    child.kill()
    child.join()
    try:
        lock.acquire()
    except millpond.OwnerDied:
        pass
    else:
        raise AssertionError("the death was not told")
    assert lock.acquire(timeout=30)
    lock.release()


def executor() -> None:
    with millpond.ProcessPoolExecutor(2) as workers:
        futures = [workers.submit(square, number) for number in range(20)]
        assert sorted(future.result() for future in as_completed(futures)) == [
            n * n for n in range(20)
        ]


PROGRAM = """\
import multiprocessing, multiprocessing.pool

if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(type(pool).__mro__[1].__module__, sum(pool.map(abs, range(-9, 1))))
"""


def unmodified_program() -> None:
    path = Path("unmodified.py")
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "millpond", path], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == "millpond.pool 45\n", done


def installation() -> None:
    import multiprocessing.pool

    millpond.install()
    assert issubclass(multiprocessing.pool.Pool, millpond.pool.Pool)
    with multiprocessing.Pool(2) as workers:
        assert workers.map(abs, [-1, 2, -3]) == [1, 2, 3]
    millpond.uninstall()


STEPS = [
    package, pool, killed_worker, start_methods, killed_owner, executor, unmodified_program,
    installation,
]  # fmt: skip

if __name__ == "__main__":
    for step in STEPS:
        step()
        print("works:", step.__name__.replace("_", " "), flush=True)
