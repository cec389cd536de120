"""`SharedMemory` and `ShareableList`: anonymous memory that is found by a name."""

from __future__ import annotations

import os
import pickle
import secrets
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from multiprocessing import shared_memory as stdlib
from multiprocessing.managers import SharedMemoryManager
from pathlib import Path
from typing import Any

import pytest
from support.descriptors import targets
from support.program import run_program, start_program

from millpond.context import BaseContext
from millpond.shared_memory import ShareableList, SharedMemory


@pytest.fixture
def block() -> Iterator[SharedMemory]:
    block = SharedMemory(create=True, size=100)
    yield block
    block.close()
    try:
        block.unlink()
    except FileNotFoundError:
        pass


def run(context: BaseContext, function: Any, *args: Any) -> None:
    process = context.Process(target=function, args=args)
    process.start()
    process.join()
    assert process.exitcode == 0


def write(block_or_name: SharedMemory | str, text: bytes) -> None:
    block = SharedMemory(block_or_name) if isinstance(block_or_name, str) else block_or_name
    block.buf[: len(text)] = text
    block.close()


def test_a_child_writes_by_name_and_by_object(context: BaseContext, block: SharedMemory) -> None:
    run(context, write, block.name, b"by name")
    assert bytes(block.buf[:7]) == b"by name"
    run(context, write, block, b"by object")
    assert bytes(block.buf[:9]) == b"by object"


def test_nothing_is_in_the_file_system_or_tracked(block: SharedMemory) -> None:
    assert not [name for name in os.listdir("/dev/shm") if name in block.name]
    assert block.name.startswith(f"millpond_{os.getpid()}_")
    assert (block.size, len(block.buf)) == (100, 100)
    assert repr(block) == f"SharedMemory({block.name!r}, size=100)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled(protocol: int, block: SharedMemory) -> None:
    data = pickle.dumps(block, protocol)
    other = pickle.loads(data)
    assert (type(other), other.name, other.size) == (SharedMemory, block.name, 100)
    other.buf[0] = 9
    assert block.buf[0] == 9
    other.close()
    block.close()
    # The creator keeps it until it is unlinked.
    again = pickle.loads(data)
    assert again.buf[0] == 9
    again.close()
    block.unlink()
    with pytest.raises(FileNotFoundError, match="unlinked") as caught:
        pickle.loads(data)
    assert caught.value.filename == block.name


def test_unlink_is_for_once(block: SharedMemory) -> None:
    other = SharedMemory(block.name)
    other.unlink()
    for each in (block, other):
        with pytest.raises(FileNotFoundError):
            each.unlink()
        each.buf[0] = 3
    with pytest.raises(FileNotFoundError):
        SharedMemory(block.name)
    assert other.buf[0] == 3
    other.close()


def unlink(name: str) -> None:
    block = SharedMemory(name)
    block.unlink()
    block.close()


def test_another_process_unlinks(context: BaseContext) -> None:
    block = SharedMemory(create=True, size=10)
    block.close()
    run(context, unlink, block.name)
    with pytest.raises(FileNotFoundError):
        SharedMemory(block.name)
    with pytest.raises(FileNotFoundError):
        block.unlink()


def create_many(count: int) -> list[SharedMemory]:
    blocks = [SharedMemory(create=True, size=1 << 20) for _ in range(count)]
    for block in blocks:
        block.buf[:] = bytes(1 << 20)
    return blocks


def pages_of(pid: int, names: set[str]) -> int:
    """How many bytes of memory the blocks have that a process keeps open."""
    total = 0
    for number in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{number}"
        if any(name in os.readlink(path) for name in names):
            total += os.stat(path).st_blocks * 512
    return total


def test_memory_goes_back_although_the_creator_does_not_look(context: BaseContext) -> None:
    with context.Pool(1) as pool:
        blocks = pool.apply(create_many, (5,))
        creator, names = pool.apply(os.getpid), {block.name for block in blocks}
        for block in blocks:
            block.unlink()
        assert pages_of(creator, names) == 5 << 20
        assert not any(block.buf[-1] for block in blocks)
        for block in blocks:
            block.close()
        assert pages_of(creator, names) == 0


def test_a_forked_child_has_what_its_parent_closed_and_unlinked() -> None:
    block = SharedMemory(create=True, size=10)
    block.buf[0] = 5
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(block.buf[0])
    os.close(reader)
    block.close()
    block.unlink()
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def create(connection: Any) -> None:
    block = SharedMemory(create=True, size=10)
    block.buf[:4] = b"data"
    block.close()
    connection.send(block.name)
    connection.recv()


def test_the_creator_may_have_closed_it_and_then_end(context: BaseContext) -> None:
    ours, theirs = context.Pipe()
    process = context.Process(target=create, args=(theirs,))
    process.start()
    block = SharedMemory(ours.recv())
    ours.send(None)
    process.join()
    assert bytes(block.buf[:4]) == b"data"
    # This process has it still, so it can be found.
    other = SharedMemory(block.name)
    assert bytes(other.buf[:4]) == b"data"
    other.close()
    block.close()
    with pytest.raises(FileNotFoundError, match="no process that has it lives"):
        SharedMemory(block.name)
    ours.close()
    theirs.close()


def create_and_leave(connection: Any, closed: bool) -> None:
    block = SharedMemory(create=True, size=100)
    block.buf[:4] = b"data"
    connection.send(block.name)
    if closed:
        block.close()


@pytest.mark.parametrize("closed", [True, False])
def test_a_child_that_ends_waits_for_who_was_told_the_name(
    context: BaseContext, closed: bool
) -> None:
    ours, theirs = context.Pipe()
    process = context.Process(target=create_and_leave, args=(theirs, closed))
    process.start()
    name = ours.recv()
    time.sleep(0.3)  # long enough for it to end, if it did not wait
    block = SharedMemory(name)
    process.join()
    assert bytes(block.buf[:4]) == b"data"
    # The creator has ended: closing it is the end of the block, and so unlinking it is no error.
    block.close()
    block.unlink()
    with pytest.raises(FileNotFoundError):
        block.unlink()
    ours.close()
    theirs.close()


WAITS_FOR_NOBODY = """
import multiprocessing, sys
from millpond import _handles
from millpond.shared_memory import SharedMemory

def work(connection):
    _handles.GRACE = 3600
    block = SharedMemory(create=True, size=100)
    unlinked = SharedMemory(create=True, size=100)
    unlinked.unlink()
    inside = SharedMemory(connection.recv())
    connection.send(block.name)
    connection.recv()
    if sys.argv[2] == "unlinked":
        block.unlink()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    ours, theirs = context.Pipe()
    child = context.Process(target=work, args=(theirs,))
    child.start()
    own = SharedMemory(create=True, size=100)
    ours.send(own.name)
    name = ours.recv()
    if sys.argv[2] == "attached":
        SharedMemory(name).close()
    ours.send(None)
    child.join()
    print(child.exitcode)
"""


@pytest.mark.parametrize("how", ["attached", "unlinked"])
def test_it_waits_for_nobody_who_came(context: BaseContext, how: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WAITS_FOR_NOBODY)
    done = run_program([sys.executable, program, str(context.get_start_method()), how])
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_another_holder_is_found_when_the_creator_has_ended(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""\
            import sys
            from millpond.shared_memory import SharedMemory
            block = SharedMemory(sys.argv[1]) if sys.argv[1:] else SharedMemory(create=True, size=9)
            block.buf[0] += 1
            print(block.name, flush=True)
            sys.stdin.read()
        """)
    )
    reader, writer = os.pipe()
    try:
        command = [sys.executable, str(program)]
        with subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            name = holder.stdout.readline().strip()
            attached = SharedMemory(name)
            holder.kill()
            holder.wait()
        done = run_program([*command, name])
        assert (done.stdout, done.stderr) == (f"{name}\n", "")
        assert attached.buf[0] == 2
        attached.close()
        with pytest.raises(FileNotFoundError):
            SharedMemory(name)
    finally:
        os.close(reader)
        os.close(writer)


def test_what_is_not_unlinked_goes_with_its_creator_and_nobody_complains() -> None:
    code = (
        "from millpond.shared_memory import SharedMemory, ShareableList\n"
        "blocks = [SharedMemory(create=True, size=1 << 20) for _ in range(5)]\n"
        "values = ShareableList(range(5))\n"
        "blocks[0].close()\n"
        "print(blocks[0].name)\n"
    )
    done = run_program([sys.executable, "-W", "error", "-c", code])
    assert done.stderr == ""
    with pytest.raises(FileNotFoundError):
        SharedMemory(done.stdout.strip())


def test_a_program_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from millpond.shared_memory import SharedMemory\n"
        "block = SharedMemory(create=True, size=1 << 20)\n"
        "print(block.name, flush=True)\n"
        "import time; time.sleep(3600)\n"
    )
    with start_program([sys.executable, program]) as running:
        while not running.output().endswith("\n"):
            time.sleep(0.005)
        name = running.output().strip()
        SharedMemory(name).close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_exported_views_keep_it_open(block: SharedMemory) -> None:
    part = block.buf[2:5]
    with pytest.raises(BufferError):
        block.close()
    part[0] = 7
    part.release()
    block.close()
    assert block.buf is None
    block.close()
    other = SharedMemory(block.name)
    assert other.buf[2] == 7
    other.close()


def test_a_forked_child_leaves_the_keeping_to_its_parent() -> None:
    block = SharedMemory(create=True, size=10)
    block.close()
    path = f"/memfd:{block.name} (deleted)"

    def held() -> list[str]:
        return [target for target in targets().values() if target == path]

    assert held()
    pid = os.fork()
    if pid == 0:
        os._exit(len(held()))
    assert os.waitpid(pid, 0)[1] == 0
    block.unlink()
    assert not held()


@pytest.mark.parametrize("size", [0, -1])
def test_wrong_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="'size' must be a positive"):
        SharedMemory(create=True, size=size)


def test_neither_a_name_nor_create() -> None:
    with pytest.raises(ValueError, match="'name' can only be None if create=True"):
        SharedMemory()


def test_more_than_the_machine_has() -> None:
    with pytest.raises(MemoryError, match="ask for less"):
        SharedMemory(create=True, size=1 << 50)
    block = SharedMemory(create=True, size=10)
    block.close()
    block.unlink()


@pytest.mark.parametrize("name", ["no such", "millpond_1_0123456789abcdef", "millpond_x_0"])
def test_a_name_of_nothing(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


@pytest.mark.parametrize("track", [True, False])
def test_track_is_accepted(track: bool) -> None:
    block = SharedMemory(create=True, size=10, track=track)
    other = SharedMemory(block.name, track=track)
    other.close()
    block.close()
    block.unlink()


def test_a_name_of_the_program_s_choice_is_an_object_of_the_system() -> None:
    name = f"millpond-test-{os.getpid()}"
    block = SharedMemory(name, create=True, size=10)
    try:
        assert name in os.listdir("/dev/shm")
        assert block.name == name
        with pytest.raises(FileExistsError):
            SharedMemory(name, create=True, size=10)
        block.buf[0] = 5
        theirs = stdlib.SharedMemory(name)
        assert theirs.buf[0] == 5
        theirs.close()
    finally:
        block.close()
        block.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


VALUES = ["one", b"two", 3, 4.0, None, True]


def change(values: Any) -> None:
    values[0] = "1"
    values[2] += 1
    values.shm.close()


def test_a_program_that_names_blocks_itself_gets_objects_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"/{secrets.token_hex(8)}" for _ in range(2)]
    again = iter([names[0], *names])
    monkeypatch.setattr(stdlib, "_make_filename", lambda: next(again))
    blocks = [SharedMemory(create=True, size=10) for _ in names]
    try:
        assert [f"/{block.name}" for block in blocks] == names
        assert Path(f"/dev/shm{names[0]}").exists()
    finally:
        for block in blocks:
            block.close()
            block.unlink()


def test_lists(context: BaseContext) -> None:
    values = ShareableList(VALUES)
    assert isinstance(values.shm, SharedMemory)
    assert values.shm.name.startswith("millpond_")
    assert list(values) == VALUES
    run(context, change, values)
    assert list(values) == ["1", b"two", 4, 4.0, None, True]
    other = ShareableList(name=values.shm.name)
    assert repr(other) == f"ShareableList({list(values)!r}, name={values.shm.name!r})"
    other.shm.close()
    copy = ShareableList(values)
    assert copy.shm.name != values.shm.name
    for each in (values, copy):
        each.shm.close()
        each.shm.unlink()


def test_managers_have_the_standard_library_s() -> None:
    with SharedMemoryManager() as manager:
        block = manager.SharedMemory(10)
        values = manager.ShareableList([1, 2])
        attached = SharedMemory(block.name)
        attached.buf[0] = 3
        assert (block.buf[0], list(values)) == (3, [1, 2])
        attached.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(block.name)


def test_installed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""\
            import multiprocessing
            from multiprocessing.managers import SharedMemoryManager
            from multiprocessing.shared_memory import ShareableList, SharedMemory
            if __name__ == "__main__":
                block, values = SharedMemory(create=True, size=10), ShareableList([1])
                print(block.name.startswith("millpond_"), values.shm.name.startswith("millpond_"))
                with SharedMemoryManager() as manager:
                    print(manager.SharedMemory(5).name.startswith("psm_"))
                    print(manager.ShareableList([5]).shm.name.startswith("psm_"))
        """)
    )
    done = run_program([sys.executable, "-m", "millpond", program])
    assert (done.stdout, done.stderr) == ("True True\nTrue\nTrue\n", "")
