"""`SharedMemory` when descriptors have run out, in many threads, and in large numbers."""

from __future__ import annotations

import fcntl
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from support.descriptors import targets
from support.program import run_program

import millpond
from millpond.shared_memory import SharedMemory


def test_without_descriptors_blocks_are_closed_and_unlinked(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""\
            import errno, os, resource
            from millpond.shared_memory import SharedMemory

            def numbers():
                return {n for n in range(200) if os.path.exists(f"/proc/self/fd/{n}")}

            def fill():
                try:
                    while True:
                        taken.append(os.dup(0))
                except OSError as error:
                    assert error.errno == errno.EMFILE

            SharedMemory(create=True, size=1).unlink()
            before = numbers()
            blocks = [SharedMemory(create=True, size=10) for _ in range(5)]
            attached = SharedMemory(blocks[0].name)
            taken = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            fill()
            for call in (lambda: SharedMemory(create=True, size=1),
                         lambda: SharedMemory(blocks[1].name)):
                try:
                    call()
                except OSError as error:
                    print(errno.errorcode[error.errno])
            attached.close()
            fill()
            for block in blocks[:3]:
                block.close()
                block.unlink()
            for block in blocks[3:]:
                block.unlink()
                block.close()
            for descriptor in taken:
                os.close(descriptor)
            print(len(numbers() - before))
        """)
    )
    done = run_program([sys.executable, program])
    assert (done.stdout, done.stderr) == ("EMFILE\nEMFILE\n0\n", "")


def test_threads_do_not_disturb_each_other() -> None:
    errors: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(150):
                block = SharedMemory(create=True, size=10)
                block.close()
                SharedMemory(block.name).close()
                block.unlink()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors


def unlink_all(names: list[str]) -> None:
    for name in names:
        block = SharedMemory(name)
        block.unlink()
        block.close()


def test_closed_blocks_in_large_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counting(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return function(*args)

    function = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", counting)
    names = []
    for _ in range(300):
        block = SharedMemory(create=True, size=10)
        block.close()
        names.append(block.name)
    # So many for each, and not for each of the others.
    assert calls <= 20 * 300
    process = millpond.get_context("fork").Process(target=unlink_all, args=(names,))
    process.start()
    process.join()
    assert process.exitcode == 0
    # Whoever uses any block looks at some of them.
    for _ in range(100):
        block = SharedMemory(create=True, size=10)
        block.close()
        block.unlink()
    assert not [link for link in list(targets().values()) if any(name in link for name in names)]
