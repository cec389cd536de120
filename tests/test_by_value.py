"""What travels by value: its state, its classes, its source.

The standard library sends nothing by value. Where it does the same thing by reference, because its
forked workers have all that there is, its outcome is what is right; elsewhere, the meaning that the
program has without processes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.program import run_program

DEFINITIONS = """\
import collections, dataclasses, enum, traceback

class Base:
    calls = 0
    def __init__(self, n=0): self.n = n
    def __eq__(self, other): return isinstance(other, Base) and other.n == self.n
    def twice(self): return type(self)(2 * self.n)
class Sub(Base):
    def twice(self): return super().twice()
    class Inner(Exception): pass
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Flags(enum.Flag):
    A = 1
    B = 2
@dataclasses.dataclass(frozen=True)
class Item:
    n: int
Pair = collections.namedtuple("Pair", "a b")
class Failure(Exception):
    def __init__(self, text, code): super().__init__(text, code); self.code = code
def fails(x): raise Failure("text", x)
def call(function, *arguments): return function(*arguments)
def identity(x): return x

def show(what, function):
    try: print(what, function())
    except BaseException as error: print(what, type(error).__name__, error)

def caught(function):
    try: return function()
    except Failure as error: return "caught", error.code, type(error) is Failure
"""

BY_REFERENCE = """
def is_red(c): return c is Color.RED
def red(x): return Color.RED
def is_base(x): return isinstance(x, Base), type(x) is Sub
def sub(x): return Sub(x)
def item(x): return Item(x)
def pair(x): return Pair(x, x)
def flags(x): return Flags.A | Flags.B
def inner(x): raise Sub.Inner(x)
def counted(x):
    Base.calls += 1
    return Base.calls

with context.Pool(1) as pool:
    show("enum argument", lambda: pool.map(is_red, [Color.RED, Color.BLUE]))
    show("enum result", lambda: pool.map(red, [0])[0] is Color.RED)
    show("flags", lambda: pool.apply(flags, (0,)) is Flags.A | Flags.B)
    show("isinstance there", lambda: pool.map(is_base, [Base(1), Sub(1), 1]))
    show("isinstance here", lambda: is_base(pool.apply(sub, (1,))))
    show("method", lambda: pool.apply(Sub(4).twice).n)
    show("dataclass", lambda: pool.apply(item, (3,)) == Item(3))
    show("namedtuple", lambda: pool.apply(pair, (3,)) == Pair(3, 3))
    show("exception", lambda: caught(lambda: pool.apply(fails, (7,))))
    show("inner exception", lambda: pool.apply(inner, (7,)))
    show("what a class keeps", lambda: [pool.apply(counted, (0,)) for _ in range(3)])
    show("imap", lambda: [thing.n for thing in pool.imap(sub, range(3))])
"""

# What each prints of itself is what it means.
BY_VALUE = """
with context.Pool(1) as pool:
    show("True", lambda: pool.apply(lambda c: c is Color.RED, (Color.RED,)))
    show("True", lambda: pool.apply(lambda: Color.RED) is Color.RED)
    show("True", lambda: pool.apply(lambda x: isinstance(x, Base), (Sub(1),)))
    show("True", lambda: type(pool.apply(lambda: Sub(3))) is Sub)
    show("True", lambda: pool.apply(lambda: Base(3)) == Base(3))
    show("True", lambda: pool.apply(lambda: Item(3)) == Item(3))
    show("True", lambda: pool.apply(lambda: Pair(1, 2)) == Pair(1, 2))
    show("8", lambda: pool.apply(lambda x: x.twice().n, (Sub(4),)))
    show("('caught', 5, True)", lambda: caught(lambda: pool.apply(lambda: fails(5))))
    show("('caught', 6, True)", lambda: caught(lambda: pool.apply(lambda: call(fails, 6))))
    show("True", lambda: pool.apply(lambda: caught(lambda: fails(1))[2]))
    show("True", lambda: pool.apply(lambda a, b: type(a) is type(b), (Item(1), Item(2))))
    show("True", lambda: pool.apply(lambda: identity(Item)) is Item)

    class Local:
        def __init__(self, n): self.n = n
        def __eq__(self, other): return type(other) is Local and other.n == self.n
        __hash__ = None
    class LocalError(Exception): pass
    LocalColor = enum.Enum("LocalColor", "RED BLUE")
    def raises(): raise LocalError("here")
    show("True", lambda: pool.apply(lambda x: type(x) is Local, (Local(1),)))
    show("True", lambda: pool.apply(lambda: Local(2)) == Local(2))
    show("True", lambda: pool.apply(lambda: LocalColor.RED) is LocalColor.RED)
    show("LocalError here", lambda: pool.apply(raises))
    try: pool.apply(raises)
    except LocalError: print("True", True)
    Local.kept = 1
    show("1", lambda: pool.apply(lambda: Local.kept))
    Local.kept = 2
    show("2", lambda: pool.apply(lambda: Local.kept))

    setting = 1
    ask = lambda: setting
    show("1", lambda: pool.apply(ask))
    setting = 2
    show("2", lambda: pool.apply(ask))
    show("2", lambda: pool.apply(lambda: setting))
    def counter():
        count = []
        return lambda x: (count.append(x), len(count))[1]
    count = counter()
    show("[1, 1, 1]", lambda: [pool.apply(count, (1,)) for _ in range(3)])
    show("[1, 1, 1]", lambda: pool.map(count, [1, 2, 3], chunksize=1))
    show("[1, 2, 3]", lambda: pool.map(count, [1, 2, 3], chunksize=3))
    count(1)
    show("[2, 2]", lambda: pool.map(count, [1, 2], chunksize=1))
    def store(x):
        global stored
        stored = globals().get("stored", 0) + x
        store_again.calls = getattr(store_again, "calls", 0) + 1
        return stored, store_again.calls
    def store_again(x): pass
    show("[(1, 1), (1, 1)]", lambda: pool.map(store, [1, 1], chunksize=1))
    default = lambda x, seen=[]: (seen.append(x), list(seen))[1]
    show("[[1], [2]]", lambda: pool.map(default, [1, 2], chunksize=1))
    plain = lambda x, y=2, *, z=(3, None): (x, y, z)
    show("[(1, 2, (3, None)), (2, 2, (3, None))]", lambda: pool.map(plain, [1, 2], chunksize=1))
    shared = [1]
    show("True", lambda: pool.apply(lambda x: x is shared, (shared,)))
"""

ARRAYS = """
import numpy
for n in (8_000, 8_192, 8_193, 100_000, 1_000_000):
    data = numpy.arange(n)
    def at(i): return int(data[i])
    with context.Pool(1) as pool:
        show("[1, 2]", lambda: pool.map(at, [1, 2], chunksize=1))
        show("[1, 2]", lambda: pool.map(lambda i: int(data[i]), [1, 2], chunksize=1))
        show("[1, 1]", lambda: pool.map(lambda i: int(data.__iadd__(1)[0]), [1, 2], 1))
        show("3", lambda: pool.apply(lambda i: int(data[i]), (3,)))
        show("[1, 2]", lambda: list(pool.imap(at, [1, 2])))
"""

MESSAGES = """
queue = context.Queue()
here, there = context.Pipe()
def through_queue(x):
    queue.put(x)
    return queue.get()
def through_pipe(x):
    here.send(x)
    return there.recv()
for send in (through_queue, through_pipe):
    show("True", lambda: send(lambda: Color.RED)() is Color.RED)
    show("True", lambda: type(send(lambda: Sub(1).twice())()) is Sub)
    show("True", lambda: caught(send(lambda: fails(1)))[2])
    show("True", lambda: send(lambda: identity)() is identity)
    class Local: pass
    show("True", lambda: type(send(lambda: Local())()) is Local)
    show("True", lambda: type(send(Local())) is Local)
    seen = []
    show("[1]", lambda: send(lambda: (seen.append(1), seen)[1])())
    show("[]", lambda: seen)
    import numpy
    large = numpy.arange(100_000)
    show("7", lambda: int(send(lambda: large[7])()))
"""

SOURCE = """
def outer(x):
    return inner(x)  # the outer line
def inner(x):
    raise ValueError(x)  # the inner line
with context.Pool(1) as pool:
    try: pool.apply(outer, (1,))
    except ValueError as error: text = str(error.__cause__)
    try: pool.apply(lambda: outer(1))  # the lambda's line
    except ValueError as error: by_value = str(error.__cause__)
for line in ("the outer line", "the inner line"):
    print(line in text, line in by_value)
print("the lambda's line" in by_value)
"""


def run(source: str, way: str, method: str, folder: Path, how: str) -> str:
    start = {
        "plain": "import multiprocessing as mp\n",
        "import": "import millpond as mp\n",
        "install": "import millpond; millpond.install(); import multiprocessing as mp\n",
    }[way]
    text = start + f"context = mp.get_context({method!r})\n" + DEFINITIONS
    if how == "file":
        body = "".join(f"    {line}\n" if line else "\n" for line in source.splitlines())
        text += f"def main():\n{body}\nif __name__ == '__main__': main()\n"
        (folder / f"{way}.py").write_text(text)
        argv = [sys.executable, str(folder / f"{way}.py")]
    else:
        argv = [sys.executable, "-c", text + source]
    done = run_program(argv, cwd=folder, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ["import", "install"])
def test_without_a_file_references_mean_what_forked_workers_have(way: str, tmp_path: Path) -> None:
    plain = run(BY_REFERENCE, "plain", "fork", tmp_path, "-c")
    assert run(BY_REFERENCE, way, "fork", tmp_path, "-c") == plain


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_without_a_file_classes_have_one_identity_where_nothing_is_inherited(
    method: str, tmp_path: Path
) -> None:
    plain = run(BY_REFERENCE, "plain", "fork", tmp_path, "-c").splitlines()
    ours = run(BY_REFERENCE, "import", method, tmp_path, "-c").splitlines()
    # Each message says anew what the caller's class has.
    kept = "what a class keeps"
    assert [line for line in ours if kept not in line] == [
        line for line in plain if kept not in line
    ]


@pytest.mark.parametrize("how", ["-c", "file"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize(
    "source", [BY_VALUE, ARRAYS, MESSAGES], ids=["meaning", "arrays", "messages"]
)
def test_by_value_it_means_what_it_means_here(
    source: str, method: str, how: str, tmp_path: Path
) -> None:
    lines = run(source, "import", method, tmp_path, how).splitlines()
    assert len(lines) >= 18
    assert [line for line in lines if not is_twice_the_same(line)] == []


def is_twice_the_same(line: str) -> bool:
    middle = len(line) // 2
    return line[middle] == " " and line[:middle] == line[middle + 1 :]


STREAMS = """
import os, sys
def main():
    def received(value):
        return value is os or value is sys.stdout or value
    with context.Pool(1) as pool:
        print(pool.map(received, [os, sys.stdout, 5]))
    queue = context.Queue()
    queue.put([os, sys.stdout])
    print(queue.get() == [os, sys.stdout])
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_modules_and_standard_streams_mean_the_receiver_s_own(method: str, tmp_path: Path) -> None:
    assert run(STREAMS, "import", method, tmp_path, "-c") == "[True, True, 5]\nTrue\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_traceback_shows_the_source(method: str, tmp_path: Path) -> None:
    assert set(run(SOURCE, "import", method, tmp_path, "file").split()) == {"True"}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_traceback_shows_source_that_is_in_no_file(method: str, tmp_path: Path) -> None:
    """As of a notebook's cells, which the notebook puts where tracebacks look."""
    text = f"""\
import linecache
source = {SOURCE!r}
linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(True), "<cell 1>")
exec(compile(source, "<cell 1>", "exec"))
"""
    assert set(run(text, "import", method, tmp_path, "-c").split()) == {"True"}
