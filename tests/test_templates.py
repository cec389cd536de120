"""Pools under spawn and forkserver: the program is imported once, as if each worker had done it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from support.processes import wait_until
from support.program import Completed, run_program, start_program

METHODS = ["spawn", "forkserver"]

COUNTED = """
import os, sys, millpond
with open("imports", "a") as file: print(os.getpid(), __name__, file=file)
context = millpond.get_context(sys.argv[1])
"""

POOL = """
def pid(_): return os.getpid()
if __name__ == "__main__":
    with context.Pool(2) as pool: print(len(pool.map(pid, range(4), chunksize=1)))
"""

# Both workers have a task, so both have imported the program.
MEETING = """
def meet(barrier): return barrier.wait()
if __name__ == "__main__":
    barrier = context.Barrier(2)
    with context.Pool(2) as pool: print(sorted(pool.map(meet, [barrier] * 2, chunksize=1)))
"""


def run(text: str, method: str, folder: Path, *arguments: str) -> Completed:
    (folder / "program.py").write_text(text)
    done = run_program([sys.executable, "program.py", method, *arguments], cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done


def imports(folder: Path) -> int:
    """How often another process than the program's own has imported the program."""
    lines = (folder / "imports").read_text().splitlines()
    assert [line.split()[1] for line in lines].count("__main__") == 1
    return len(lines) - 1


SEVERAL = """
def parent(_):
    with open(f"/proc/{os.getppid()}/stat") as stat: return int(stat.read().split()[3])
if __name__ == "__main__":
    templates = set()
    for _ in range(3):
        with context.Pool(2, maxtasksperchild=1) as pool:
            templates.update(pool.map(parent, range(6), chunksize=1))
    with millpond.ProcessPoolExecutor(2, mp_context=context) as executor:
        templates.update(executor.map(parent, range(4)))
    print(len(templates), os.getpid() in templates)
"""


@pytest.mark.parametrize("method", METHODS)
def test_the_program_is_imported_once_for_all_pools(method: str, tmp_path: Path) -> None:
    assert run(COUNTED + SEVERAL, method, tmp_path).stdout == "1 False\n"
    assert imports(tmp_path) == 1


PRELOADS = """
def loaded(_): return "colorsys" in sys.modules, __name__
def of_pool(preload=None):
    with context.Pool(1, preload=preload) as pool: return pool.map(loaded, [0])
def of_executor(preload=None):
    with millpond.ProcessPoolExecutor(1, context, preload=preload) as executor:
        return list(executor.map(loaded, [0]))
if __name__ == "__main__":
    first, second = (of_pool, of_executor) if sys.argv[2] == "pool" else (of_executor, of_pool)
    for preload in [["colorsys"], ["__main__", "colorsys"], [], ["missing_module"]]:
        before = len(open("imports").readlines())
        found = first(iter(preload)) + second(preload)
        print(found, len(open("imports").readlines()) - before)
    for wrong in ("colorsys", [1]):
        try: first(wrong)
        except TypeError as error: print(error)
"""


@pytest.mark.parametrize("first", ["pool", "executor"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_preloaded_can_be_chosen(method: str, first: str, tmp_path: Path) -> None:
    def both(loaded: bool) -> str:
        return str([(loaded, "__mp_main__")] * 2)

    assert run(COUNTED + PRELOADS, method, tmp_path, first).stdout.splitlines() == [
        f"{both(True)} 2",
        f"{both(True)} 1",
        f"{both(False)} 2",
        f"{both(False)} 2",
        "preload must be names of modules, not 'colorsys'",
        "preload must be names of modules, not [1]",
    ]


CHOSEN = """
def loaded(_): return "colorsys" in sys.modules
if __name__ == "__main__":
    context.set_forkserver_preload(["colorsys", "__main__"])
    with context.Pool(1) as pool: print(pool.apply(loaded, (0,)))
"""


def test_what_is_preloaded_for_the_fork_server(tmp_path: Path) -> None:
    assert run(COUNTED + CHOSEN, "forkserver", tmp_path).stdout == "True\n"
    assert imports(tmp_path) == 1


CHANGES = """
import resource
def look(_):
    print("a line", flush=True)
    return (
        os.environ.get("CHANGED"), os.path.basename(os.getcwd()), sys.path[0], sys.argv[1:],
        len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_CORE)[0],
    )
def now():
    with context.Pool(1) as pool: return pool.apply(look, (0,))
if __name__ == "__main__":
    first = now()
    os.environ["CHANGED"] = "yes"
    os.mkdir("other"); os.chdir("other")
    sys.path.insert(0, "/added"); sys.argv.append("more")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.flush()
    os.dup2(os.open("output", os.O_WRONLY | os.O_CREAT), 1)
    second = now()
    print(first[0], second[:4], second[4:], open("output").read() == "a line\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_gets_what_a_new_interpreter_would_get(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(COUNTED.replace('open("imports"', 'open("/dev/null"') + CHANGES)
    done = run_program([sys.executable, "program.py", method], cwd=tmp_path)
    expected = ("yes", "other", "/added", [method, "more"])
    assert (done.returncode, done.stdout) == (0, "a line\n")
    assert done.stderr == f"None {expected} (1, 0) True\n"


UNSAFE = {
    "thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "file": "data = open(__file__)",
    "child": "import subprocess; child = subprocess.Popen(['sleep', '0.5'])",
    "generator": "import random; generator = random.Random()",
    "numpy's generator": "import numpy; generator = numpy.random.default_rng()",
}


@pytest.mark.parametrize("what", UNSAFE)
@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_forked_is_imported_in_each_worker(
    method: str, what: str, tmp_path: Path
) -> None:
    end = "    if 'child' in globals(): child.wait()\n"
    assert run(COUNTED + UNSAFE[what] + MEETING + end, method, tmp_path).stdout == "[0, 1]\n"
    # One found out.
    assert imports(tmp_path) == 1 + 2


SAFE = {
    "log": "import logging; logging.basicConfig(filename='log'); logging.error('imported')",
    "proxy": "class Proxy:\n @property\n def __class__(self): sys.exit('asked')\nproxy = Proxy()",
    "drawn": "import random; random.random(); random.gauss(0, 1)",
    "file that was closed": "open(__file__).close()",
    "thread that has ended": "import threading; t = threading.Thread(); t.start(); t.join()",
}


@pytest.mark.parametrize("what", SAFE)
def test_what_can_be_forked_is_imported_once(what: str, tmp_path: Path) -> None:
    assert run(COUNTED + SAFE[what] + POOL, "spawn", tmp_path).stdout == "4\n"
    assert imports(tmp_path) == 1


RANDOM = """
import random
{seed}
def draw(_): return random.random(), float(numpy.random.random())
if __name__ == "__main__":
    with context.Pool(2, maxtasksperchild=1) as pool:
        print([pool.apply(draw, (0,)) for _ in range(3)])
"""


@pytest.mark.parametrize(
    "seeds", ["import numpy.random", "import numpy; random.seed(3); numpy.random.seed(4)"]
)
@pytest.mark.parametrize("method", METHODS)
def test_random_numbers_are_those_of_an_import(method: str, seeds: str, tmp_path: Path) -> None:
    """Each worker has numbers of its own, or the ones that the program's seed gives."""
    text = COUNTED + RANDOM.format(seed=seeds)
    drawn = eval(run(text, method, tmp_path).stdout)
    assert imports(tmp_path) == 1
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) == (1 if "seed" in seeds else 3)
    if "seed" in seeds:
        import random

        assert drawn[0][0] == random.Random(3).random()


NAMES = """
from multiprocessing import current_process, parent_process
if current_process().name == "MainProcess" and __name__ != "__main__": sys.exit("as main")
print("imported", __name__)
"""


@pytest.mark.parametrize("method", METHODS)
def test_the_program_sees_that_it_is_imported(method: str, tmp_path: Path) -> None:
    """What it prints then is printed once."""
    out = run(COUNTED + NAMES + POOL, method, tmp_path).stdout.splitlines()
    assert sorted(out) == ["4", "imported __main__", "imported __mp_main__"]


FAILING = """
if __name__ != "__main__":
    {failure}
def work(x): return x
if __name__ == "__main__":
    pool = context.Pool(1)
    try: print(pool.apply(work, (1,)))
    except millpond.BrokenPool as error: print(type(error.__cause__).__name__)
    with context.Pool(1, preload=[]) as other:
        try: print(other.apply(work, (1,)))
        except millpond.BrokenPool as error: print(type(error.__cause__).__name__)
"""


@pytest.mark.parametrize(
    ("failure", "cause"),
    [("1 / 0", "ZeroDivisionError"), ("sys.exit(3)", "TaskExited"), ("os._exit(3)", "NoneType")],
)
@pytest.mark.parametrize("method", METHODS)
def test_an_import_that_fails(method: str, failure: str, cause: str, tmp_path: Path) -> None:
    text = COUNTED + FAILING.format(failure=failure)
    assert run(text, method, tmp_path).stdout.split() == [cause, cause]


HANGING = """
import signal
if __name__ != "__main__":
    open("hangs", "w").close()
    signal.pause()
if __name__ == "__main__":
    pool = context.Pool(2)
    while not os.path.exists("hangs"): pass
    {end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("pool.terminate(); pool.join()", 0),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.execv('/bin/true', ['true'])", 0),
        ("os._exit(3)", 3),
        ("sys.exit(4)", 4),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_an_import_that_never_ends_ends_with_its_owner(
    method: str, end: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(COUNTED + HANGING.format(end=end))
    done = run_program([sys.executable, "program.py", method], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, "")


KEPT = """
def work(x): return x + 1
if __name__ == "__main__":
    with context.Pool(1) as pool: print(pool.apply(work, (1,)), flush=True)
    {end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("os.execv('/bin/true', ['true'])", 0),
        ("os._exit(3)", 3),
        ("if os.fork() == 0: os._exit(0)", 0),
        ("pass", 0),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_template_that_waits_ends_with_its_owner(
    method: str, end: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(COUNTED + KEPT.format(end=end))
    done = run_program([sys.executable, "program.py", method], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "2\n", "")


FORKS = """
def work(x): return x + 1
def apply():
    with context.Pool(1) as pool: return pool.apply(work, (1,))
if __name__ == "__main__":
    print(apply(), flush=True)
    if (child := os.fork()) == 0:
        print(apply(), flush=True)
        sys.exit()
    os.waitpid(child, 0)
    print(apply())
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_forked_child_has_templates_of_its_own(method: str, tmp_path: Path) -> None:
    assert run(COUNTED + FORKS, method, tmp_path).stdout.split() == ["2", "2", "2"]
    assert imports(tmp_path) == 2


KILLED = """
import signal, time
def work(x): return x + 1
def template(pool):
    with open(f"/proc/{pool._engine.zygote_pid}/stat") as stat: return int(stat.read().split()[3])
if __name__ == "__main__":
    pool = context.Pool(1, maxtasksperchild=2)
    print(pool.apply(work, (1,)))
    first = template(pool)
    os.kill(first, signal.SIGKILL)
    print([pool.apply(work, (x,)) for x in range(5)])
    with context.Pool(1) as other:
        print(other.apply(work, (2,)), template(other) != first)
    pool.terminate()
"""


@pytest.mark.parametrize("method", METHODS)
def test_pools_go_on_when_their_template_is_killed(method: str, tmp_path: Path) -> None:
    done = run(COUNTED + KILLED, method, tmp_path)
    assert done.stdout.splitlines() == ["2", "[1, 2, 3, 4, 5]", "3 True"]


UNGUARDED = """
def work(x): return x
context.Pool(2).map(work, range(3))
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_program_without_a_guard_is_told_so(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(COUNTED + UNGUARDED)
    done = run_program([sys.executable, program, method], cwd=tmp_path)
    line = program.read_text().splitlines().index("context.Pool(2).map(work, range(3))") + 1
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(f"""\
BrokenPool: the pool is broken: setting a worker up raised RuntimeError:

    {program}, line {line}, starts processes when it is imported:

        context.Pool(2).map(work, range(3))

    Each new process imports the program. Guard what the program runs:

        if __name__ == "__main__":
            main()""")


ARGUMENTS = """
def start(*locks): global held; held = locks
def use(_): return [lock.acquire() and lock.release() is None for lock in held].count(True)
if __name__ == "__main__":
    locks = [context.Lock() for _ in range(300)]
    for _ in range(2):
        with context.Pool(2, start, locks, maxtasksperchild=1) as pool:
            print(pool.map(use, range(4), chunksize=1))
"""


@pytest.mark.parametrize("method", METHODS)
def test_many_handles_among_the_initializer_s_arguments(method: str, tmp_path: Path) -> None:
    assert run(COUNTED + ARGUMENTS, method, tmp_path).stdout == "[300, 300, 300, 300]\n" * 2
    assert imports(tmp_path) == 1


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_while_the_program_is_imported(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(COUNTED + HANGING.format(end="pool.map(abs, [1])"))
    with start_program([sys.executable, program, method], cwd=tmp_path) as started:
        assert wait_until((tmp_path / "hangs").exists, 30)
        os.killpg(started.pid, signal.SIGINT)
        done = started.finish()
    assert done.returncode == -signal.SIGINT
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


LATER = """
import random
own = random.Random()  # Each worker imports this for itself, from an interpreter that starts late.
def look(_): return os.environ.get("GPU"), os.umask(0o22)
if __name__ == "__main__":
    pools = []
    for number in range(6):
        os.environ["GPU"] = str(number)
        os.umask(0o70 + number)
        pools.append(context.Pool(1))
    os.umask(0o22)
    print([pool.apply(look, (0,)) for pool in pools])
    os.environ["GPU"] = "0"
    with context.Pool(1) as pool: print(pool.apply(look, (0,)))
    for pool in pools:
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_shared", [True, False])
def test_many_pools_at_once_have_what_each_was_made_with(
    method: str, is_shared: bool, tmp_path: Path
) -> None:
    text = LATER.replace("own = random.Random()", "own = None") if is_shared else LATER
    expected = [(str(number), 0o70 + number) for number in range(6)]
    assert run(COUNTED + text, method, tmp_path).stdout == f"{expected}\n{('0', 0o22)}\n"


LEAVES = """
import atexit, mmap, shutil, signal, subprocess, sys, tempfile
what = sys.argv[2]
if what == "directory of its own":
    directory = tempfile.mkdtemp(); atexit.register(shutil.rmtree, directory)
elif what == "temporary directory":
    temporary = tempfile.TemporaryDirectory(); directory = temporary.name
elif what == "helper" and __name__ != "__main__":
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    atexit.register(lambda: (helper.kill(), helper.wait()))
elif what == "shared memory":
    shared = mmap.mmap(-1, 8)
elif what == "timer":
    signal.alarm(3600)
def use(x):
    if "directory" in what: open(f"{directory}/{x}", "w").close()
    if what == "shared memory": shared[0] += 1; return shared[0]
    if what == "timer": return signal.alarm(0) > 0
    return x
if __name__ == "__main__":
    with context.Pool(2, maxtasksperchild=1) as pool:
        print([pool.apply(use, (x,)) for x in range(4)])
        pool.close()
        pool.join()
"""


@pytest.mark.parametrize(
    "what", ["directory of its own", "temporary directory", "helper", "shared memory", "timer"]
)
def test_what_an_import_leaves_is_each_worker_s_own(what: str, tmp_path: Path) -> None:
    plain = "import sys, multiprocessing; context = multiprocessing.get_context(sys.argv[1])\n"
    (tmp_path / "program.py").write_text(plain + LEAVES)
    (tmp_path / "ours.py").write_text(plain.replace("multiprocessing", "millpond") + LEAVES)
    outcomes = [
        run_program([sys.executable, program, "spawn", what], cwd=tmp_path)
        for program in ("program.py", "ours.py")
    ]
    for done in outcomes:
        assert (done.returncode, done.stderr) == (0, "")
    assert outcomes[0].stdout == outcomes[1].stdout


KILLED_IDLE = """
from millpond._pool import template
def work(x): return x
if __name__ == "__main__":
    for _ in range(6):
        with context.Pool(1) as pool:
            print(pool.apply(work, (1,)), end=" ")
        (living,) = template._templates._living
        os.kill(living._pid, 9)
    print()
"""


@pytest.mark.parametrize("method", METHODS)
def test_templates_that_are_killed_have_successors_like_them(method: str, tmp_path: Path) -> None:
    assert run(COUNTED + KILLED_IDLE, method, tmp_path).stdout == "1 1 1 1 1 1 \n"
    assert imports(tmp_path) == 6


HELD = """
import time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forks with threads: 3.12 and later warn
from multiprocessing import util
from millpond._pool import template
def work(x): return x
if __name__ == "__main__":
    start = template._Template.start
    def start_and_fork(self):
        def fork_meanwhile(*arguments):
            if (pid := os.fork()) == 0:
                time.sleep(3600)
            children.append(pid)
            return spawn(*arguments)
        spawn = util.spawnv_passfds
        util.spawnv_passfds = fork_meanwhile
        try: start(self)
        finally: util.spawnv_passfds = spawn
    children = []
    template._Template.start = start_and_fork
    with context.Pool(1) as pool: print(pool.apply(work, (1,)))
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_forked_meanwhile_holds_nobody_up(method: str, tmp_path: Path) -> None:
    """It has the template's end of the socket, which so is never hung up."""
    assert run(COUNTED + HELD, method, tmp_path).stdout == "1\n"
