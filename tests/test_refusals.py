"""Surroundings that lack something: they are worked with, or the error names what is missing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import run_program

USE = """\
import errno, os
import millpond

def square(x): return x * x
def put(queue, value): queue.put(value)
def take(lock): return lock.acquire()
def add(lock, value):
    with lock: value.value += 1

def outcome(call):
    try: return repr(call())
    except OSError as error: return f"{errno.errorcode.get(error.errno)} {error}"
    except Exception as error: return str(error)[-200:]

def of_pool():
    with context.Pool(2) as pool:
        return pool.map(square, range(4)), len(pool.apply(bytes, (1_000_000,)))
def of_replaced():
    with context.Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(square, (i,)) for i in range(3)]
def of_queue():
    queue = context.Queue()
    process = context.Process(target=put, args=(queue, 1))
    process.start(); process.join()
    queue.put(b"x" * 1_000_000)
    return queue.get(), queue._reader.poll(0), len(queue.get()), queue._reader.poll(0)
def of_pipe():
    here, there = context.Pipe()
    here.send([1])
    return there.poll(), there.recv(), millpond.connection.wait([there], 0)
def of_lock():
    lock, value = context.Lock(), context.Value("i")
    process = context.Process(target=add, args=(lock, value))
    process.start(); process.join()
    return value.value, process.exitcode

def use():
    for part in (of_pool, of_replaced, of_queue, of_pipe, of_lock):
        print(part.__name__, outcome(part), flush=True)
"""

WORKS = """\
of_pool ([0, 1, 4, 9], 1000000)
of_replaced [0, 1, 4]
of_queue (1, True, 1000000, False)
of_pipe (True, [1], [])
of_lock (1, 0)
"""


def program(tmp_path: Path, text: str, method: str = "fork") -> Path:
    path = tmp_path / "program.py"
    main = f"if __name__ == '__main__':\n    context = millpond.get_context({method!r})\n"
    path.write_text(USE + main + "".join(f"    {line}\n" for line in text.splitlines()))
    return path


REFUSE = """
import ctypes, struct
# A filter of all calls: load the number, compare it, refuse with EPERM or allow.
words = [(0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(words), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(filter)), 0, 0) == 0
use()
"""
NUMBERS = {
    "x86_64": {
        "memfd_create": 319, "pidfd_open": 434, "eventfd2": 290, "socketpair": 53,
        "epoll_create1": 291, "fallocate": 285, "ftruncate": 77,
    },
    "aarch64": {
        "memfd_create": 279, "pidfd_open": 434, "eventfd2": 19, "socketpair": 199,
        "epoll_create1": 20, "fallocate": 47, "ftruncate": 46,
    },
}  # fmt: skip
WANTED_BY_POOLS = ("pidfd_open", "eventfd2", "epoll_create1")


@pytest.mark.parametrize("call", NUMBERS["x86_64"])
def test_a_system_call_that_is_refused_is_named(call: str, tmp_path: Path) -> None:
    number = NUMBERS[platform.machine()][call]
    done = run_program([sys.executable, program(tmp_path, REFUSE.format(number=number))])
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(outcomes) == 5
    right = dict(line.split(" ", 1) for line in WORKS.splitlines())
    refused = {part for part, outcome in outcomes.items() if outcome != right[part]}
    for part in refused:
        assert f"{call}: Operation not permitted" in outcomes[part]
    assert refused, "the call is used"
    if call in WANTED_BY_POOLS:
        assert refused == {"of_pool", "of_replaced"}


def in_namespace(*command: str | Path) -> list[str | Path]:
    """What runs a command where /proc is empty; skips where that is not allowed."""
    prefix: list[str | Path] = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    prefix += ['mount -t tmpfs none /proc && exec "$@"', "sh"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mount namespaces are not to be had here: {error}")
    return [*prefix, *command]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_without_procfs_all_works_but_handles_in_messages(method: str, tmp_path: Path) -> None:
    text = "use()\nwith context.Pool(1) as pool:\n"
    text += "    print(outcome(lambda: pool.apply(take, (context.Lock(),))))\n"
    done = run_program(in_namespace(sys.executable, program(tmp_path, text, method)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(WORKS)
    # Forked workers have the memory already.
    expected = "True" if method == "fork" else "None /proc is not mounted"
    assert done.stdout[len(WORKS) :].startswith(expected)


def test_a_working_directory_that_was_deleted(tmp_path: Path) -> None:
    text = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\nuse()\n"
    done = run_program([sys.executable, program(tmp_path, text)], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, WORKS, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_new_interpreter_needs_a_working_directory(method: str, tmp_path: Path) -> None:
    text = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\nprint(outcome(of_pool))\n"
    done = run_program([sys.executable, program(tmp_path, text, method)], cwd=tmp_path)
    assert done.stdout.startswith("ENOENT"), done.stderr
    assert "working directory" in done.stdout


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_executable_that_is_not_there_is_named(method: str, tmp_path: Path) -> None:
    text = "millpond.set_executable('/no/such/python')\nprint(outcome(of_pool))\n"
    done = run_program([sys.executable, program(tmp_path, text, method)])
    assert done.stdout.startswith("ENOENT"), done.stderr
    assert "'/no/such/python'" in done.stdout
    assert "set_executable" in done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_user_that_was_changed_after_the_start(when: str, tmp_path: Path) -> None:
    text = """
use()
pool, queue, lock = context.Pool(2), context.Queue(), context.Lock()
change = lambda: (os.setgid(65534), os.setuid(65534))
if BEFORE: pool.map(square, range(2)); queue.put(1); lock.acquire()
change()
print(pool.map(square, range(3)), len(pool.apply(bytes, (1_000_000,))))
queue.put(2); print([queue.get() for _ in range(1 + BEFORE)])
if BEFORE: lock.release()
print(lock.acquire(timeout=0), [worker.exitcode for worker in pool._pool])
print(pool.apply(square, (3,)))
pool.terminate(); pool.join()
print(of_lock(), of_queue(), of_pool())
""".replace("BEFORE", str(when == "before"))
    done = run_program([sys.executable, program(tmp_path, text)])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    expected = "[0, 1, 4] 1000000\n" + ("[1, 2]\n" if when == "before" else "[2]\n")
    expected += "True [None, None]\n9\n"
    expected += "(1, 0) (1, True, 1000000, False) ([0, 1, 4, 9], 1000000)\n"
    assert done.stdout == WORKS + expected
