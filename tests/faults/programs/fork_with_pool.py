"""Forks by hand while a pool is alive: fork_with_pool.py METHOD WHAT GATE."""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from faulty_tasks import double
from gate import Gate

import millpond

# CPython 3.12 warns of every fork while a second thread lives: forking is the point here.
warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")


def in_child(action: Callable[[], object]) -> int:
    """Fork; the child does something and exits by os._exit, the parent gets its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def expect_error(call: Callable[[], object]) -> None:
    """Use the parent's pool, which must be refused."""
    try:
        call()
    except Exception as error:
        print(f"refused: {type(error).__name__}: {error}")
    else:
        print("nothing was raised")


def main(method: str, what: str, gate: Gate) -> None:
    context = millpond.get_context(method)
    pool = context.Pool(2)
    print(pool.map(double, range(3)), flush=True)
    match what:
        case "child does nothing":
            print(in_child(lambda: None))
        case "child exits by sys.exit":
            pid = os.fork()
            if pid == 0:
                sys.exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        case "child calls map":
            print(in_child(lambda: expect_error(lambda: pool.map(double, [1]))))
        case "child calls apply_async":
            print(in_child(lambda: expect_error(lambda: pool.apply_async(double, (1,)).get())))
        case "child calls imap":
            print(in_child(lambda: expect_error(lambda: next(pool.imap(double, [1])))))
        case "child waits for a result of the parent":
            result = pool.apply_async(gate.hold)
            print(in_child(lambda: expect_error(lambda: result.get())))
            gate.open()
            result.get()
        case "child leaves with":
            print(in_child(pool.terminate))
        case "child makes a pool":
            print(in_child(lambda: print(context.Pool(2).map(double, range(3)))))
        case "child makes a pool and exits by sys.exit":
            pid = os.fork()
            if pid == 0:
                own = context.Pool(2)
                print(own.map(double, range(3)), flush=True)
                sys.exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        case "many children":
            print([in_child(lambda: None) for _ in range(20)])
        case "a process of the library uses it":
            child = millpond.get_context("fork").Process(
                target=expect_error, args=(lambda: pool.map(double, [1]),)
            )
            child.start()
            child.join()
            print(child.exitcode)
    print(pool.map(double, range(3)), flush=True)
    pool.close()
    pool.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Gate(Path(sys.argv[3])))
