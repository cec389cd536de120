"""Programs whose imports are lazy, which CPython 3.15 has an option for (PEP 810)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import run_program

PROGRAM = """\
import array
import json
import sys
from collections import Counter

import millpond
from millpond import shared_memory

factor = 3


def encode(value):
    return json.dumps(Counter(value))


def serve(questions, answers, done):
    while (question := questions.get()) is not None:
        answers.send(array.array("i", [factor * question]))
    done.set()


def main(context):
    with context.Pool(2) as pool:
        print(pool.map(encode, ["aa", "b"]))
        print(list(pool.imap(lambda n: json.loads(str(factor * n)), range(3))))
        print(pool.apply_async(encode, ("cc",)).get())
    with millpond.ProcessPoolExecutor(2, context) as executor:
        print(list(executor.map(encode, ["dd", "e"])))
    questions, done, (receiver, sender) = context.Queue(), context.Event(), context.Pipe()
    process = context.Process(target=serve, args=(questions, sender, done))
    process.start()
    sender.close()
    questions.put_many([1, 2, None])
    print(receiver.recv(), receiver.recv(), done.wait(), process.join(), process.exitcode)
    value, lock = context.Value("i", 1), context.Lock()
    with lock:
        value.add(1)
    block = shared_memory.SharedMemory(create=True, size=8)
    block.close()
    block.unlink()
    print(value.value, lock.locked())
    with context.Manager() as manager:
        print(manager.list([1]))


if __name__ == "__main__":
    main(millpond.get_context(sys.argv[1]))
"""

EXPECTED = """\
['{"a": 2}', '{"b": 1}']
[0, 3, 6]
{"c": 2}
['{"d": 2}', '{"e": 1}']
array('i', [3]) array('i', [6]) True None 0
2 False
[1]
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_program_runs_as_any_other(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # Before 3.15 the option is not known, and ignored.
    argv = [sys.executable, "-X", "lazy_imports=all", str(program), method]
    done = run_program(argv)
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")
