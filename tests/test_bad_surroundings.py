"""Programs, interpreters and orders of events that millpond was not made for: each is told so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import run_program

import millpond

ROOT = os.path.dirname(os.path.dirname(millpond.__file__))
METHODS = ["fork", "spawn", "forkserver"]


def old_interpreters() -> list[Path]:
    """The interpreters older than 3.11 that pyenv has on this machine."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for directory in sorted(versions.glob("[23].*")):
        number = tuple(map(int, re.findall(r"\d+", directory.name)[:2]))
        python = directory / "bin" / "python"
        if number < (3, 11) and python.exists():
            found.append(python)
    return found


@pytest.mark.parametrize(
    "python", old_interpreters() or [None], ids=lambda p: p.parts[-3] if p else "none"
)
@pytest.mark.parametrize("how", [["-m", "millpond", "program.py"], ["-c", "import millpond"]])
def test_an_interpreter_that_is_too_old(python: Path | None, how: list[str]) -> None:
    if python is None:
        pytest.skip("this machine has no interpreter older than 3.11")
    environment = {"PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"}
    # Without the checks of `run_program`, which have the interpreter import faulthandler.
    done = subprocess.run([python, *how], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    message = f"millpond needs CPython 3.11 or newer; this is Python {python.parts[-3][:3]}"
    assert message in done.stderr.replace("\n", " ")


SHADOW_FILE = {"multiprocessing.py": "def Pool(number): return f'a pool of my own: {number}'\n"}
SHADOW_PACKAGE = {
    "multiprocessing/__init__.py": "",
    "multiprocessing/pool.py": "class Pool: pass\n",
    "multiprocessing/spawn.py": "x = 1\n",
    "multiprocessing/util.py": "x = 2\n",
}
USE_FILE = "import multiprocessing\nprint(multiprocessing.Pool(2))\n"
USE_PACKAGE = """
import multiprocessing.pool, multiprocessing.spawn, multiprocessing.util
print(multiprocessing.pool.Pool, multiprocessing.spawn.x, multiprocessing.util.x)
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("shadow", "body"),
    [(SHADOW_FILE, USE_FILE), (SHADOW_PACKAGE, USE_PACKAGE)],
    ids=["file", "package"],
)
def test_a_program_with_a_multiprocessing_of_its_own(
    shadow: dict[str, str], body: str, tmp_path: Path
) -> None:
    """It gets its own, as under plain Python; after `uninstall`, too."""
    ending = "import sys\nif 'millpond' in sys.modules:\n    sys.modules['millpond'].uninstall()\n"
    write(tmp_path, {**shadow, "program.py": body + ending})
    plain = run_program([sys.executable, "program.py"], cwd=tmp_path)
    done = run_program([sys.executable, "-m", "millpond", "program.py"], cwd=tmp_path)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, "")


@pytest.mark.parametrize("shadow", [SHADOW_FILE, SHADOW_PACKAGE], ids=["file", "package"])
@pytest.mark.parametrize(
    "use", ["millpond.Pool(1)", "millpond.ProcessPoolExecutor(1)", "millpond.Lock()"]
)
def test_millpond_s_names_beside_such_a_module(
    shadow: dict[str, str], use: str, tmp_path: Path
) -> None:
    program = f"import millpond\ntry:\n    {use}\nexcept ImportError as error:\n    print(error)\n"
    write(tmp_path, {**shadow, "program.py": program})
    done = run_program([sys.executable, "program.py"], cwd=tmp_path)
    where = tmp_path / next(iter(shadow))
    assert done.stdout == (
        "millpond needs the standard library's multiprocessing, but another module has that "
        f"name: {where}; rename it, or take its directory from sys.path\n"
    )


LATE = """
import multiprocessing, sys
from multiprocessing.pool import Pool as StdlibPool
from multiprocessing import synchronize

def hold(lock, queue, text):
    with lock:
        queue.put(text)

def use_others(q, joinable, rlock, sem, bounded, condition, event, barrier, *rest):
    with rlock, sem, bounded, condition:
        condition.notify_all()
    event.set()
    barrier.wait()
    joinable.put(1)
    joinable.get()
    joinable.task_done()
    number, array, text, raw, left, right = rest
    left.send(b"x")
    with number:
        number.value += 1
    q.put((number.value, array[:], text.value, raw.value, right.recv()))

_kept = []

def keep(*objects):
    _kept.extend(objects)

def put_under_lock(text):
    lock, queue = _kept
    with lock:
        queue.put(text)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    others = (
        context.Queue(), context.JoinableQueue(), context.RLock(), context.Semaphore(),
        context.BoundedSemaphore(), context.Condition(), context.Event(), context.Barrier(1),
        context.Value("i", 3), context.Array("i", [1, 2]), context.Array("c", b"ab"),
        context.Value("i", 4, lock=False), *context.Pipe(),
    )
    lock, queue, pool = context.Lock(), context.SimpleQueue(), StdlibPool(1, context=context)
    print(pool.apply(abs, (-1,)))
    import millpond
    millpond.install()
    # What was there before goes on.
    print(pool.apply(abs, (-2,)))
    pool.terminate()
    pool.join()
    # And goes along to new processes and workers.
    process = context.Process(target=hold, args=(lock, queue, "process"))
    process.start()
    process.join()
    print(process.exitcode, queue.get())
    process = context.Process(target=use_others, args=others)
    process.start()
    process.join()
    print(process.exitcode, others[0].get())
    with context.Pool(1, keep, (lock, queue)) as pool:
        assert isinstance(pool, millpond.pool.Pool)
        pool.apply(put_under_lock, ("worker",))
        print(queue.get())
        # But it is no argument of a task, in either of the two.
        try:
            pool.apply(hold, (lock, queue, "task"))
        except RuntimeError as error:
            print(error)
    # A condition over a lock of before, and a lock of now.
    for inner in (lock, context.Lock(), context.RLock()):
        condition = context.Condition(inner)
        with condition:
            print(condition.wait(0.01))
    lock.acquire()
    print(lock.acquire(timeout=0.01))
    lock.release()
"""


@pytest.mark.parametrize("method", METHODS)
def test_install_when_objects_of_the_stdlib_exist(method: str, tmp_path: Path) -> None:
    write(tmp_path, {"program.py": LATE})
    options = ["-W", "ignore::DeprecationWarning"]
    done = run_program([sys.executable, *options, "program.py", method], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    others = "0 (4, [1, 2], b'ab', 4, b'x')"
    assert lines[:5] == ["1", "2", "0 process", others, "worker"]
    assert "should only be shared between processes through inheritance" in lines[5]
    assert lines[6:] == ["False"] * 4


EXECUTOR_OF_BEFORE = """\
import sys
from concurrent.futures import ProcessPoolExecutor
import concurrent.futures.process
import multiprocessing

import millpond


def main():
    millpond.install()
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        print(sum(executor.map(abs, range(-10, 0))))


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_install_when_the_executor_of_the_stdlib_is_imported(method: str, tmp_path: Path) -> None:
    write(tmp_path, {"program.py": EXECUTOR_OF_BEFORE})
    options = ["-W", "ignore::DeprecationWarning"]
    done = run_program([sys.executable, *options, "program.py", method], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "55\n", "")


QUEUE_OF_BEFORE = """\
import multiprocessing
import multiprocessing.queues

import millpond


class Own(multiprocessing.queues.Queue):
    pass


def main():
    millpond.install()
    context = multiprocessing.get_context("spawn")
    queue = Own(ctx=context)
    child = context.Process(target=queue.put, args=("here",))
    child.start()
    print(queue.get())
    child.join()
    print(child.exitcode)


if __name__ == "__main__":
    main()
else:
    millpond.install()
    Own = type("Own", (multiprocessing.queues.Queue,), {"__module__": __name__})
"""


def test_a_class_of_before_that_is_defined_anew_in_the_child(tmp_path: Path) -> None:
    write(tmp_path, {"program.py": QUEUE_OF_BEFORE})
    done = run_program([sys.executable, "program.py"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n0\n", "")
