"""Options of the interpreter reach the workers of pools as they reach processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.program import run_program

PROGRAM = """\
import sys

import millpond


def options(*_):
    return sys._xoptions, tuple(sys.flags), sys.warnoptions


def send(sender):
    sender.send(options())


if __name__ == "__main__":
    context = millpond.get_context(sys.argv[1])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(sender,))
    process.start()
    sender.close()
    of_process = receiver.recv()
    process.join()
    with context.Pool(1) as pool:
        assert pool.apply(options) == of_process
    with millpond.ProcessPoolExecutor(1, context) as executor:
        assert executor.submit(options).result() == of_process
    print(sorted(of_process[0]))
    print(sorted(options()[0]))
"""

OPTIONS = ["utf8", "frozen_modules=off", "no_debug_ranges", "of_nobody=7"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_have_those_of_processes(method: str, tmp_path: Path) -> None:
    """Since CPython 3.15, a new interpreter gets all that its parent was started with."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    chosen = [word for option in OPTIONS for word in ("-X", option)]
    done = run_program([sys.executable, *chosen, "-W", "ignore::ImportWarning", program, method])
    assert (done.returncode, done.stderr) == (0, "")
    of_process, of_program = done.stdout.splitlines()
    if method == "fork" or sys.version_info >= (3, 15):
        assert of_process == of_program
