"""Classes, functions and arrays of a program that is in no file, as in a notebook or a `-c`."""
# ways: import install

import subprocess
import sys

PROGRAM = """
import collections, dataclasses, enum
import numpy
from subject import context, show

class Thing:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(self) is type(other) and self.x == other.x
@dataclasses.dataclass
class Data:
    x: int
class Color(enum.Enum):
    RED = 1
Pair = collections.namedtuple("Pair", "a b")
class Oops(Exception): pass
SETTING = {"k": 1}
large = numpy.arange(100_000)

def make(x): return Thing(x)
def data(x): return Data(x)
def is_red(c): return c is Color.RED
def red(): return Color.RED
def pair(x): return Pair(x, x)
def is_thing(x): return isinstance(x, Thing)
def oops(x): raise Oops(x)
def setting(_): return SETTING["k"]
def at(i): return int(large[i])
def child(queue):
    for item in (Thing(5), Color.RED, Data(1)): queue.put(item)

def caught(call):
    try: return call()
    except Oops as error: return "caught", error.args

with context.Pool(2) as pool:
    show("instance", lambda: pool.map(make, [1])[0] == Thing(1))
    show("dataclass", lambda: pool.apply(data, (1,)) == Data(1))
    show("enum there", lambda: pool.apply(is_red, (Color.RED,)))
    show("enum here", lambda: pool.apply(red) is Color.RED)
    show("namedtuple", lambda: pool.apply(pair, (1,)) == Pair(1, 1))
    show("isinstance there", lambda: pool.map(is_thing, [Thing(1), 1]))
    show("exception", lambda: caught(lambda: pool.apply(oops, (1,))))
    show("method", lambda: pool.apply(Thing(1).__eq__, (Thing(1),)))
    show("imap", lambda: [thing.x for thing in pool.imap(make, range(3))])
    SETTING["k"] = 2
    show("what workers have", lambda: pool.apply(setting, (0,)))
    show("array", lambda: pool.map(at, [1, 2]))
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
items = [queue.get() for _ in range(3)]
process.join()
show("queue", lambda: (items[0] == Thing(5), items[1] is Color.RED, items[2] == Data(1)))
with context.Pool(1) as pool:
    show("another pool", lambda: (pool.apply(setting, (0,)), pool.apply(red) is Color.RED))
"""

if __name__ == "__main__":
    print(subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode)
