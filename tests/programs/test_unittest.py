"""`python -m unittest` with tests that use `multiprocessing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from both import SAY_WHOSE, run_both

TESTS = f"""\
import multiprocessing
import unittest

{SAY_WHOSE}

def square(x):
    return x * x

def put_squares(numbers, results, lock, counter):
    for number in iter(numbers.get, None):
        with lock:
            counter.value += 1
        results.put(square(number))

class Parallel(unittest.TestCase):
    method = {{method!r}}

    def setUp(self):
        self.context = multiprocessing.get_context(self.method)
        say_whose()

    def test_pool(self):
        with self.context.Pool(2) as pool:
            self.assertEqual(pool.map(square, range(10)), [x * x for x in range(10)])

    def test_queues(self):
        numbers, results = self.context.Queue(), self.context.SimpleQueue()
        lock, counter = self.context.Lock(), self.context.Value("i", 0)
        arguments = (numbers, results, lock, counter)
        workers = [self.context.Process(target=put_squares, args=arguments) for _ in range(2)]
        for worker in workers:
            worker.start()
        for number in range(20):
            numbers.put(number)
        for _ in workers:
            numbers.put(None)
        self.assertEqual(sorted(results.get() for _ in range(20)), [x * x for x in range(20)])
        for worker in workers:
            worker.join()
        self.assertEqual((counter.value, [w.exitcode for w in workers]), (20, [0, 0]))

    def test_in_pool(self):
        with self.context.Pool(1) as pool, self.assertRaisesRegex(ZeroDivisionError, "by zero"):
            pool.apply(divmod, (1, 0))

    def test_that_fails(self):
        with self.context.Pool(1) as pool:
            self.assertEqual(pool.apply(square, (3,)), 10)

    @unittest.skip("not today")
    def test_skipped(self):
        pass
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_unittest(method: str, tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "test_parallel.py").write_text(TESTS.replace("{method!r}", repr(method)))

    both = run_both(tmp_path, make, ["-m", "unittest", "-v", "test_parallel"])
    assert "AssertionError: 9 != 10" in both.stderr
    assert "FAILED (failures=1, skipped=1)" in both.stderr
