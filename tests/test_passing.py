"""What a new process gets: by reference where that works, by value where it does not.

The meaning is the one that a forked child gives, which inherits everything.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.program import run_program

METHODS = ["fork", "spawn", "forkserver"]

START = {
    "import": "import millpond as mp\n",
    "install": "import millpond; millpond.install(); import multiprocessing as mp\n",
}

DEFINITIONS = """
class Thing:
    def __init__(self, n): self.n = n
class Failure(Exception): pass
def named(queue, thing, cls, function):
    queue.put((type(thing) is Thing, cls is Thing, function is named))
def call(function, *args, **kwargs): return function(*args, **kwargs)
"""

PROCESSES = """
queue = context.Queue()

def outcome(target, *args, **kwargs):
    process = context.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    got = queue.get()
    process.join()
    return got, process.exitcode

step = 40
print(outcome(named, queue, Thing(1), Thing, named))
print(outcome(lambda queue, *rest: named(queue, *rest), queue, Thing(1), Thing, named))
print(outcome(lambda: queue.put(step + 2)))
print(outcome(call, queue.put, 3))
print(outcome(call, lambda x, *, f: queue.put(f(x) + step), 1, f=lambda x: x * 2))

class Local:
    def __init__(self, n): self.n = n
    def send(self): queue.put(self.n + step)
print(outcome(Local(2).send))
got, code = outcome(lambda local: queue.put((type(local) is Local, local)), Local(5))
# A forked child did not get the class from here: what it sends has a class of its own.
print(got[0], type(got[1]) is Local or context.get_start_method() == "fork", got[1].n, code)

class Counting(context.Process):
    def __init__(self, f): super().__init__(name="counting"); self.f = f
    def run(self): queue.put((self.f(1), self.name))
process = Counting(lambda x: x + step)
process.start()
print(queue.get())
process.join()

lock, event, values = context.Lock(), context.Event(), context.Array("i", 3)
reader, writer = context.Pipe(duplex=False)
def use_all(lock, event, writer, f):
    with lock: values[1] = f(7)
    event.set()
    writer.send(values[:])
    queue.put(None)
print(outcome(use_all, lock, event, writer, lambda x: -x), event.is_set(), reader.recv(), values[:])
print(outcome(lambda: queue.put([lock is lock, lock.acquire(), lock.release()])))
both = [1]
print(outcome(lambda a, b: queue.put(a is b), both, both))
"""

INITIALIZERS = """
store = {}
offset = 10
def recall(key): return store.get(key, Thing(None)).n if key in store else None
def starts(x, thing, f, lock):
    with lock: pass
    store["n"] = type(thing)(f(x) + offset)
made = lambda key: store[key].n
starting = lambda *args: (call(starts, *args))
lock = context.Lock()

with context.Pool(2, starting, (1, Thing(0), lambda x: x + 1, lock)) as pool:
    print(pool.map(recall, ["n", "m"]))
from millpond import ProcessPoolExecutor
with ProcessPoolExecutor(
    2, mp_context=context, initializer=starting, initargs=(5, Thing(0), lambda x: -x, lock)
) as executor:
    print(list(executor.map(recall, ["n", "m"])))
"""

ARRAYS = """
import numpy
queue = context.Queue()
for shape in ((10,), (1000, 1000)):
    array = numpy.arange(numpy.prod(shape)).reshape(shape)
    fortran, text = numpy.array(array, order="F"), b"x" * 1_000_000
    def work(array, fortran, text):
        array += 1
        same = bool((fortran == array - 1).all())
        queue.put((int(array.sum()), fortran.flags.fnc, same, len(text)))
    process = context.Process(target=work, args=(array, fortran, text))
    process.start()
    print(queue.get(), int(array.sum()))
    process.join()
"""

ERRORS = """
import threading
lock = threading.Lock()
def show(function):
    try: function()
    except Exception as error:
        print(type(error).__name__, *getattr(error, "__notes__", ()), sep=" | ")
    else: print("fine")
def start(**kwargs): context.Process(name="P", **kwargs).start()
show(lambda: start(target=print, args=(1, lock)))
show(lambda: start(target=print, kwargs={"x": lock}))
show(lambda: start(target=lambda: lock))
show(lambda: context.Pool(1, lambda: lock))
show(lambda: context.Pool(1, print, (1, 2, lock)))
"""

SWITCHED_OFF = """
import millpond
def show(function):
    try: print("fine", function())
    except Exception as error: print(type(error).__name__)
def run(target):
    process = context.Process(target=target)
    process.start()
    process.join()
    return process.exitcode
def here(): pass
queue = context.Queue()
for enabled in (False, True):
    millpond.set_pickle_by_value(enabled)
    show(lambda: run(lambda: None))
    show(lambda: queue.put(lambda: 1))
    def initialize():
        with context.Pool(1, lambda: None) as pool: return pool.apply(abs, (-1,))
    show(initialize)
    with context.Pool(1) as pool:
        show(lambda: pool.apply(lambda: 1))
        show(lambda: pool.map(lambda x: 1, range(3)))
        show(lambda: pool.apply(abs, (-1,)))
"""


def run(source: str, way: str, method: str, folder: Path, how: str = "file") -> list[str]:
    text = f"{START[way]}context = mp.get_context({method!r})\n{DEFINITIONS}"
    if how == "file":
        body = "".join(f"    {line}\n" for line in source.splitlines())
        program = folder / "program.py"
        # What a module has beside its functions is in other processes too.
        program.write_text(f"{text}def main():\n{body}\nif __name__ == '__main__': main()\n")
        argv = [sys.executable, str(program)]
    else:
        argv = [sys.executable, "-c", text + source]
    done = run_program(argv, cwd=folder, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["file", "-c"])
@pytest.mark.parametrize("way", ["import", "install"])
@pytest.mark.parametrize("method", METHODS)
def test_target_and_arguments_of_a_process(method: str, way: str, how: str, tmp_path: Path) -> None:
    assert run(PROCESSES, way, method, tmp_path, how) == [
        "((True, True, True), 0)",
        "((True, True, True), 0)",
        "(42, 0)",
        "(3, 0)",
        "(42, 0)",
        "(42, 0)",
        "True True 5 0",
        "(41, 'counting')",
        "(None, 0) True [0, -7, 0] [0, -7, 0]",
        "([True, True, None], 0)",
        "(True, 0)",
    ]


@pytest.mark.parametrize("way", ["import", "install"])
@pytest.mark.parametrize("method", METHODS)
def test_initializer_and_its_arguments(method: str, way: str, tmp_path: Path) -> None:
    source = INITIALIZERS
    # The store is a module's, where the functions find it by reference.
    names, rest = source.split("made = ")
    text = f"{START[way]}context = mp.get_context({method!r})\n{DEFINITIONS}{names}"
    body = "".join(f"    {line}\n" for line in f"made = {rest}".splitlines())
    program = tmp_path / "program.py"
    program.write_text(f"{text}if __name__ == '__main__':\n{body}")
    done = run_program([sys.executable, program])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["[12, None]", "[5, None]"]


@pytest.mark.parametrize("method", METHODS)
def test_arrays_are_the_process_s_own(method: str, tmp_path: Path) -> None:
    assert run(ARRAYS, "import", method, tmp_path) == [
        "(55, False, True, 1000000) 45",
        "(500000500000, True, True, 1000000) 499999500000",
    ]


@pytest.mark.parametrize("way", ["import", "install"])
@pytest.mark.parametrize(("method", "kind"), [("spawn", "Spawn"), ("forkserver", "ForkServer")])
def test_what_cannot_be_sent_is_named(method: str, kind: str, way: str, tmp_path: Path) -> None:
    process = f"{kind}Process 'P' to a new process"
    by_value = "nor can it be pickled by value: TypeError: cannot pickle '_thread.lock' object"
    lines = run(ERRORS, way, method, tmp_path)
    assert [line.partition(" | ")[2] for line in lines] == [
        f"cannot send args[1] of {process}",
        f"cannot send kwargs['x'] of {process}",
        f"{by_value} | cannot send the target of {process}",
        f"{by_value} | cannot send the initializer of the pool to a new process",
        "cannot send initargs[2] of the pool to a new process",
    ]


@pytest.mark.parametrize("way", ["import", "install"])
@pytest.mark.parametrize("method", METHODS)
def test_it_can_be_switched_off(method: str, way: str, tmp_path: Path) -> None:
    lines = run(SWITCHED_OFF, way, method, tmp_path)
    forked = method == "fork"
    assert [line.startswith("fine") for line in lines] == [
        *[forked, False, forked, False, False, True],
        *[True] * 6,
    ]
