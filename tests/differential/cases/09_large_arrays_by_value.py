"""Functions of a program in no file, over arrays of sizes around what goes beside a pickle."""
# ways: import install

import subprocess
import sys

PROGRAM = """
import numpy
from subject import context, show

for n in (8_000, 8_191, 8_192, 8_193, 100_000, 1_000_000):
    data = numpy.arange(n)
    def at(i): return int(data[i])
    class Reader:
        def __init__(self): self.data = data
        def at(self, i):
            self.data[i] += 1
            return int(self.data[i])
    with context.Pool(2) as pool:
        show(f"{n} in a global", lambda: pool.map(at, [1, 2]))
        reader = Reader()
        show("in an object", lambda: pool.map(reader.at, [1, 1, 2], chunksize=1))
        show("of the caller", lambda: [int(data[i]) for i in (1, 2)])
"""

if __name__ == "__main__":
    print(subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode)
