"""Surroundings in which a pid says little: whether a process lives is known all the same."""

from __future__ import annotations

import sys

import pytest
from support.program import run_program

# What the programs below have in common.
COMMON = """
import ctypes, errno, os, signal, struct, sys, time
import queue
import millpond

libc = ctypes.CDLL(None, use_errno=True)

def refused(call):
    number = ctypes.get_errno()
    if number in (errno.EPERM, errno.ENOSYS, errno.EACCES):
        print("refused")
        sys.stdout.flush()
        os._exit(0)
    raise OSError(number, call)

def private(flags):
    # A user namespace allows the others to users.
    if libc.unshare(flags) and libc.unshare(0x10000000 | flags):
        refused("unshare")

def told(lock):
    try:
        return lock.acquire(timeout=30)
    except millpond.OwnerDied:
        return "died"

def forked(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            sys.stdout.flush()
            os._exit(0)
    return pid
"""

NAMESPACES = (
    COMMON
    + """
outer, inner = millpond.Lock(), millpond.Lock()
permit = millpond.Semaphore(1)
tasks, pids, go = millpond.JoinableQueue(), millpond.Queue(), millpond.Event()

def within():
    print(outer.acquire(timeout=0.3), permit.acquire(timeout=0.3))
    inner.acquire()
    tasks.get()
    sys.stdout.flush()
    pids.put(os.getpid())
    go.wait()
    print(told(outer))
    sys.stdout.flush()
    pids.put(0)
    time.sleep(100)

def between():
    private(0x20000000)
    child = forked(within)
    pids.put(child)
    os.waitpid(child, 0)

def holds():
    outer.acquire()
    permit.acquire()
    pids.put(-1)
    time.sleep(100)

tasks.put("task")
holder = forked(holds)
assert pids.get() == -1
middle = forked(between)
numbers = set()
while len(numbers) < 2:
    try:
        numbers.add(pids.get(timeout=0.1))
    except queue.Empty:
        if os.waitpid(middle, os.WNOHANG)[0]:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)
            os._exit(0)
assert 1 in numbers
print(inner.acquire(timeout=0.3))
sys.stdout.flush()
os.kill(holder, signal.SIGKILL)
go.set()
assert pids.get() == 0
os.kill(max(numbers), signal.SIGKILL)
print(told(inner))
try:
    tasks.join()
except millpond.TasksLost as error:
    print(error.count)
os.waitpid(holder, 0)
os.waitpid(middle, 0)
"""
)

REFUSED = (
    COMMON
    + """
def deny(number, error):
    code = [struct.pack("HBBI", 0x20, 0, 0, 0), struct.pack("HBBI", 0x15, 0, 1, number),
            struct.pack("HBBI", 6, 0, 0, 0x50000 | error), struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)]
    buffer = ctypes.create_string_buffer(b"".join(code))
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    program = Program(len(code), ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        refused("seccomp")
"""
)

NO_PROCFS = (
    COMMON
    + """
def surround():
    private(0x20000)
    if libc.mount(b"none", b"/", None, 0x44000, None) or libc.umount2(b"/proc", 2):
        refused("umount")
    assert not os.path.exists("/proc/self")
"""
)

HOLD = """
lock, held = millpond.Lock(), millpond.Event()

def hold():
    if "{where}" == "child":
        surround()
    lock.acquire()
    held.set()
    time.sleep(100)

child = forked(hold)
if "{where}" == "parent":
    surround()
while not held.wait(0.1):
    if os.waitpid(child, os.WNOHANG)[0]:
        os._exit(0)
print(lock.acquire(timeout=0.3))
os.kill(child, signal.SIGKILL)
print(told(lock))
os.waitpid(child, 0)
"""


def lines(body: str) -> list[str]:
    done = run_program([sys.executable, "-c", body])
    assert (done.returncode, done.stderr) == (0, "")
    if "refused" in done.stdout:
        pytest.skip("this machine allows no such surroundings")
    return done.stdout.split()


def test_holders_in_another_pid_namespace_and_outside_of_it() -> None:
    """Seen from within and from outside, the living hold and the dead do not."""
    assert lines(NAMESPACES) == ["False", "False", "False", "died", "died", "1"]


@pytest.mark.parametrize("number", [1, 13, 38])
def test_pidfd_open_is_refused(number: int) -> None:
    body = REFUSED + f"surround = lambda: deny(434, {number})\n" + HOLD.format(where="parent")
    assert lines(body) == ["False", "died"]


@pytest.mark.parametrize("where", ["everywhere", "parent", "child"])
def test_procfs_is_not_mounted(where: str) -> None:
    first = "surround()\n" if where == "everywhere" else ""
    assert lines(NO_PROCFS + first + HOLD.format(where=where)) == ["False", "died"]
