"""Waits that nobody alive can end raise `Deadlock`; those that somebody might end do not."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from support.program import run_program

COMMON = """
import ctypes, os, pickle, signal, sys, threading, time
import millpond

def ended(target, *args, kill=False):
    process = context.Process(target=target, args=args)
    process.start()
    if kill:
        process.kill()
    process.join()
    return process

def run(target, *args):
    # An alarm that kills the parent kills this one, too.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    target(*args)

def living(target, *args):
    process = context.Process(target=run, args=(target, *args), daemon=True)
    process.start()
    return process

def nothing(*_):
    pass

def sleep(*_):
    time.sleep(1000)

context = millpond.get_context("fork")
"""

# What is waited for, and as what the error can be caught.
WAITS = {
    "lock": ("lock = context.Lock(); lock.acquire()", "lock.acquire()", "ProcessError"),
    "with": ("lock = context.Lock(); lock.acquire()", "lock.__enter__()", "ProcessError"),
    "semaphore": ("lock = context.Semaphore(0)", "lock.acquire()", "ProcessError"),
    "bounded": (
        "lock = context.BoundedSemaphore(1); lock.acquire()",
        "lock.acquire()",
        "ProcessError",
    ),
    "condition": ("lock = context.Condition(); lock.acquire()", "lock.wait()", "ProcessError"),
    "barrier": ("lock = context.Barrier(2)", "lock.wait()", "threading.BrokenBarrierError"),
    "queue": ("lock = context.Queue()", "lock.get()", "EOFError"),
    "several": ("lock = context.Queue()", "lock.get_many(3)", "EOFError"),
    "simple": ("lock = context.SimpleQueue()", "lock.get()", "EOFError"),
    "full": ("lock = context.Queue(1); lock.put(1)", "lock.put(2)", "ProcessError"),
    "join": ("lock = context.JoinableQueue(); lock.put(1)", "lock.join()", "ProcessError"),
    "pipe": ("lock = context.Pipe()", "lock[0].recv()", "EOFError"),
    "simplex": ("lock = context.Pipe(False)", "lock[0].recv_bytes()", "EOFError"),
}

# Who had it beside the process that waits, and is gone.
GONE = {
    "nobody": "",
    "ended": "ended(nothing, lock)",
    "killed": "ended(sleep, kill=True)",
    "executed": """
if os.fork() == 0:
    os.execv("/bin/true", ["true"])
os.wait()
""",
    "grandchild": "ended(lambda: ended(nothing, lock))",
}

REPORT = """
try:
    {wait}
except {base} as error:
    print(type(error).__mro__[0 if type(error) is millpond.Deadlock else 1].__name__, error)
"""


def python(program: str, **environment: str) -> tuple[int, str, str]:
    done = run_program([sys.executable, "-c", program], env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("gone", ["nobody", "ended"])
def test_wait_that_nobody_can_end(wait: str, gone: str) -> None:
    make, call, base = WAITS[wait]
    report = REPORT.format(wait=call, base=base.replace("ProcessError", "millpond.ProcessError"))
    code, out, err = python("\n".join([COMMON, make, GONE[gone], report]))
    assert (code, err) == (0, "")
    assert out.startswith("Deadlock nobody can ")


@pytest.mark.parametrize("gone", GONE)
def test_those_who_had_it_are_gone(gone: str) -> None:
    make, call, _ = WAITS["queue"]
    report = REPORT.format(wait=call, base="millpond.Deadlock")
    code, out, err = python("\n".join([COMMON, make, GONE[gone], report]))
    assert (code, err) == (0, "")
    assert out.startswith("Deadlock nobody can put an item into the queue")


def test_error_says_who_had_it() -> None:
    program = """
queue = context.Queue()
one, two = ended(nothing), ended(sleep, kill=True)
try:
    queue.get()
except millpond.Deadlock as error:
    assert error.pids == (one.pid, two.pid), error.pids
    assert pickle.loads(pickle.dumps(error)).pids == error.pids
    print(str(error).replace(str(one.pid), "1").replace(str(two.pid), "2"))
"""
    _, out, err = python(COMMON + program)
    assert err == ""
    assert out == (
        "nobody can put an item into the queue, which is empty: no other living process has it, "
        "and this one has one thread (ForkProcess-1: process 1 exited with code 0, ForkProcess-2: "
        "process 2 was killed by SIGKILL)\n"
    )


def test_lock_that_a_process_kept_when_it_ended() -> None:
    program = """
lock = context.Lock()
holder = ended(lock.acquire)
try:
    lock.acquire()
except millpond.Deadlock as error:
    assert error.pids == (holder.pid,)
    print(str(error).replace(str(holder.pid), "1"))
lock.release()
print(lock.acquire())
"""
    _, out, err = python(COMMON + program)
    assert err == ""
    assert out == (
        "nobody can release the lock, which process 1 kept when it ended: no other living process "
        "has it, and this one has one thread (ForkProcess-1: process 1 exited with code 0)\nTrue\n"
    )


def test_it_can_be_used_as_before() -> None:
    program = """
queue, barrier, condition = context.Queue(), context.Barrier(2), context.Condition()
for _ in range(2):
    try:
        queue.get()
    except millpond.Deadlock:
        print("deadlock")
queue.put(1)
print(queue.get())
try:
    barrier.wait()
except millpond.Deadlock:
    print(barrier.broken)
barrier.reset()
with condition:
    try:
        condition.wait()
    except millpond.Deadlock:
        print(condition.acquire(False))
"""
    assert python(COMMON + program)[1:] == ("deadlock\ndeadlock\n1\nTrue\nTrue\n", "")


def test_what_the_dead_have_left_is_found_first() -> None:
    program = """
def die(lock, semaphore, barrier):
    lock.acquire()
    semaphore.acquire()
    os.kill(os.getpid(), signal.SIGKILL)

lock, semaphore, barrier = context.Lock(), context.Semaphore(1), context.Barrier(2)
ended(die, lock, semaphore, barrier)
try:
    lock.acquire()
except millpond.OwnerDied:
    print("died")
print(lock.acquire(), semaphore.acquire())
"""
    assert python(COMMON + program)[1:] == ("died\nTrue True\n", "")


# What makes it uncertain, before the wait. An alarm kills the program after several looks.
DOUBTS = {
    "thread": "threading.Thread(target=sleep, daemon=True).start()",
    "thread-of-c": """
libc = ctypes.CDLL(None)
libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)
""",
    "timer-thread": "import faulthandler; faulthandler.dump_traceback_later(1000)",
    "handler": "signal.signal(signal.SIGUSR1, nothing)",
    "handler-of-interrupt": "signal.signal(signal.SIGINT, nothing)",
    "handler-of-fault": "signal.signal(signal.SIGABRT, nothing)",
    "handler-of-c": "import faulthandler; faulthandler.register(signal.SIGUSR1)",
    "asyncio": """
import asyncio
loop = asyncio.new_event_loop()
loop.add_signal_handler(signal.SIGTERM, nothing)
""",
    "child": "living(sleep)",
    "child-that-uses-it": """
event = context.Event()
def use():
    lock.qsize() if hasattr(lock, "qsize") else None
    event.set()
    sleep()
living(use)
event.wait()
""",
    "stopped-child": "os.kill(living(sleep).pid, signal.SIGSTOP)",
    "child-without-descriptors": """
def use():
    os.closerange(3, 1000)
    sleep()
living(use)
""",
    "orphan": """
event = context.Event()
def orphan():
    if os.fork() == 0:
        event.set()
        time.sleep(5)
        os._exit(0)
ended(orphan)
event.wait()
""",
    "pool": "pool = context.Pool(1)",
    "on-its-way": "other = context.Queue(); other.put(lock)",
    "message": "other = context.Pipe(); other[0].send(lock)",
    "message-that-was-read": "other = context.Pipe(); other[0].send(lock); other[1].recv()",
    "message-of-no-receiver": "other = context.Pipe(); other[0].send(lock); other[1].close()",
    "pickled": "kept = pickle.dumps(lock)",
}

ALARM = 2.0


def waits(program: str, **environment: str) -> None:
    alarm = f"signal.setitimer(signal.ITIMER_REAL, {ALARM})"
    code, out, err = python("\n".join([COMMON, program.replace("ALARM", alarm)]), **environment)
    assert (code, out, err) == (-signal.SIGALRM, "", "")


@pytest.mark.parametrize("doubt", DOUBTS)
def test_wait_that_somebody_might_end(doubt: str) -> None:
    waits("\n".join(["lock = context.Queue()", DOUBTS[doubt], "ALARM", "lock.get()"]))


@pytest.mark.parametrize(
    "given",
    [
        "other = os.dup(lock[1].fileno())",
        "kept = lock[1].fileno()",
        "living(sleep)",
        "other = context.Queue(); other.put(lock[1])",
        "other = context.Pipe(); other[0].send(lock[1]); lock[1].close()",
    ],
)
def test_pipe_that_somebody_might_have(given: str) -> None:
    waits("\n".join(["lock = context.Pipe()", given, "ALARM", "lock[0].recv()"]))


# What is made, how a process waits for it that gave it away, and what the receiver does.
TRAVELLERS = {
    "lock": ("context.Semaphore(0)", "made.acquire()", "made.release()"),
    "barrier": ("context.Barrier(2)", "made.wait() in (0, 1)", "made.wait()"),
    "queue": ("context.Queue()", "made.get()", "made.put(True)"),
    "pipe": ("context.Pipe()", "made[0].recv()", "made[1].send(True)"),
}

# How it gets to a process that has nothing of it until it reads, which it does late.
JOURNEYS = {
    "message": """
def give(end):
    made = make()
    end.send(made)
    # The bundle has all that is left of it, but for what the process itself has.
    end.send(wait(made))

ours, theirs = context.Pipe()
living(give, theirs)
made = late(ours.recv)
answer = ours.recv
""",
    "result": """
def give():
    # A function may be sent by value, with names of its own.
    sys.kept = make()
    return sys.kept

pool = context.Pool(1)
result, answer = pool.apply_async(give), pool.apply_async(lambda: wait(sys.kept)).get
made = late(result.get)
""",
    "exception": """
class Refused(Exception):
    pass

def give():
    sys.kept = make()
    raise Refused(sys.kept)

pool = context.Pool(1)
result, answer = pool.apply_async(give), pool.apply_async(lambda: wait(sys.kept)).get
made = late(result.exception).args[0]
""",
}


@pytest.mark.parametrize("journey", JOURNEYS)
@pytest.mark.parametrize("traveller", TRAVELLERS)
def test_what_is_in_a_message_that_is_read_late(traveller: str, journey: str) -> None:
    make, wait, end = TRAVELLERS[traveller]
    program = f"""
def make():
    return {make}

def wait(made):
    return {wait}

def late(read):
    # After several looks of the process that waits.
    time.sleep(1.5)
    return read()
{JOURNEYS[journey]}
{end}
print(answer())
"""
    assert python(COMMON + program) == (0, "True\n", "")


def test_process_that_procfs_does_not_show() -> None:
    program = """
libc = ctypes.CDLL(None, use_errno=True)
# Without the right to it, in a namespace of users.
if libc.unshare(0x20000) and libc.unshare(0x10000000 | 0x20000):
    os.kill(os.getpid(), signal.SIGALRM)
lock = context.Lock()
lock.acquire()
libc.mount(None, b"/", None, 0x44000, None)
libc.mount(b"none", b"/proc", b"tmpfs", 0, None)
assert not os.path.exists("/proc/self")
ALARM
lock.acquire()
"""
    waits(program)


def test_lock_that_another_process_may_release() -> None:
    program = """
def release():
    time.sleep(1)
    lock.release()
lock = context.Lock()
lock.acquire()
living(release)
print(lock.acquire())
"""
    assert python(COMMON + program) == (0, "True\n", "")


@pytest.mark.parametrize("wait", ["event.wait()", "lock.acquire(timeout=1000)"])
def test_wait_that_is_not_looked_at(wait: str) -> None:
    make = "event, lock = context.Event(), context.Lock(); lock.acquire()"
    waits("\n".join([make, "ALARM", wait]))


def test_it_can_be_switched_off() -> None:
    make, call, _ = WAITS["lock"]
    waits("\n".join([make, "millpond.set_deadlock_errors(False)", "ALARM", call]))
    waits("\n".join([make, "ALARM", call]), MILLPOND_DEADLOCK_ERRORS="0")
    program = "\n".join([COMMON, make, "millpond.set_deadlock_errors(True)", call])
    code, _, err = python(program, MILLPOND_DEADLOCK_ERRORS="0")
    assert code == 1 and "Deadlock" in err


STARTING = """
import os, sys, time
import millpond

if __name__ == "__main__":
    context = millpond.get_context(sys.argv[1])
    queue, (reader, writer) = context.Queue(), context.Pipe()
else:
    # The process that is started imports this, and only then opens what it was given.
    time.sleep(1.5)


def put(queue, writer):
    queue.put("put")
    writer.send("sent")


if __name__ == "__main__":
    process = context.Process(target=put, args=(queue, writer))
    process.start()
    print(queue.get(), reader.recv())
    process.join()
    for receive in (queue.get, reader.recv):
        try:
            receive()
        except millpond.Deadlock as error:
            assert error.pids == (process.pid,)
            print("deadlock")
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_process_that_is_being_started(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(STARTING)
    done = run_program([sys.executable, program, method])
    assert (done.stdout, done.stderr) == ("put sent\ndeadlock\ndeadlock\n", "")


def test_parties_of_which_one_is_dead() -> None:
    program = """
def wait(barrier, results):
    try:
        barrier.wait()
    except millpond.Deadlock:
        results.put("deadlock")
    except threading.BrokenBarrierError:
        results.put("broken")

barrier, results = context.Barrier(4), context.Queue()
for _ in range(2):
    living(wait, barrier, results)
ended(nothing, barrier, kill=True)
wait(barrier, results)
print(*sorted({results.get() for _ in range(3)} | {"broken"}))
"""
    assert python(COMMON + program)[1:] == ("broken deadlock\n", "")


def test_barrier_whose_party_may_still_come() -> None:
    program = """
def wait(barrier):
    barrier.wait()

def come_late(barrier):
    time.sleep(1.5)
    barrier.wait()

barrier = context.Barrier(3)
living(wait, barrier)
living(come_late, barrier)
print(barrier.wait() in range(3))
"""
    assert python(COMMON + program)[1:] == ("True\n", "")
