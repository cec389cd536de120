"""What runs in the interpreter under test: lists the tests of a suite, or runs one class of it.

It imports nothing of this project, as it also runs where there is none. Its answers are lines of
JSON on the descriptor that it is given.

    driver.py REPORT list SUITE
    driver.py REPORT run SUITE CLASS TEST…       and whose code the names are, here and in a child
    driver.py REPORT isolated                    whose code they are under -I, -E and -S
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import unittest

METHODS = ("fork", "spawn", "forkserver")

# The modules that a suite's tests are in; the first is there in every installation.
MODULES = {
    "main_handling": ("test.test_multiprocessing_main_handling",),
    "executor": (
        "test.test_concurrent_futures",
        "test.test_concurrent_futures.test_process_pool",
        "test.test_concurrent_futures.test_as_completed",
        "test.test_concurrent_futures.test_deadlock",
        "test.test_concurrent_futures.test_init",
        "test.test_concurrent_futures.test_shutdown",
        "test.test_concurrent_futures.test_wait",
    ),
}


def modules(suite):
    """Import what a suite's tests are in."""
    if suite in METHODS:
        # Some installations lack the modules test.test_multiprocessing_fork and so on.
        return [__import__(f"millpond_judge_{suite}")]
    found = []
    for name in MODULES[suite]:
        try:
            __import__(name)
        except (ImportError, unittest.SkipTest):
            continue
        found.append(sys.modules[name])
    return found


def cases(suite):
    """Yield every test of a suite, with the name of its class."""
    for module in modules(suite):
        pending = list(unittest.defaultTestLoader.loadTestsFromModule(module))
        while pending:
            test = pending.pop(0)
            if isinstance(test, unittest.TestSuite):
                pending[:0] = list(test)
            elif type(test).__module__ == module.__name__ and wanted(suite, type(test).__name__):
                yield f"{module.__name__}.{type(test).__name__}", test


def wanted(suite, name):
    """Of the executors' tests, those that use processes."""
    return suite != "executor" or "Process" in name or "Failing" in name


class Recorder(unittest.TestResult):
    """Reports each test's outcome at once, so that a hang or a crash has a name."""

    def __init__(self, report):
        super().__init__()
        self.report = report

    def say(self, test, outcome, detail=""):
        name = getattr(test, "_testMethodName", None) or str(test)
        line = json.dumps({"test": name, "outcome": outcome, "detail": detail})
        os.write(self.report, line.encode() + b"\n")

    def startTest(self, test):
        super().startTest(test)
        self.say(test, "started")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say(test, "passed")

    def addError(self, test, err):
        super().addError(test, err)
        self.say(test, "error", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, "failed", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.say(test, "passed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.say(test, "failed", "unexpected success")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say(test, "failed", self._exc_info_to_string(err, test))


def run(report, suite, name, tests):
    """Run tests of one class of a suite; then tell what they ran on."""
    chosen = [
        test for owner, test in cases(suite) if owner == name and test._testMethodName in tests
    ]
    if chosen:
        method = start_method(suite, type(chosen[0]))
        unittest.TestSuite(chosen).run(Recorder(report))
        prove(report, method)


def start_method(suite, case):
    """Return how the tests of a class start their processes."""
    if suite in METHODS:
        return suite
    named = getattr(case, "start_method", None) or getattr(case, "ctx", None)
    return named if named in METHODS else "fork"


# What the objects that programs get by these names are made of.
NAMES = {
    "Lock": (), "RLock": (), "Semaphore": (), "BoundedSemaphore": (), "Condition": (), "Event": (),
    "Barrier": (2,),
    "Queue": (), "JoinableQueue": (), "SimpleQueue": (), "Pipe": (),
    "Value": ("i",), "Array": ("i", 1),
}  # fmt: skip


def origins(method):
    """Return for each name whether what a program gets by it is millpond's code."""
    import multiprocessing
    from multiprocessing import pool, sharedctypes

    context = multiprocessing.get_context(method)
    found = {name: is_ours(type(thing)) for name, thing in objects(context)}
    found["Pool"] = is_ours(pool.Pool)
    for name in ("RawValue", "RawArray"):
        found[name] = is_ours(getattr(sharedctypes, name))
    return found


def objects(context):
    """Make what programs get from a context."""
    for name, arguments in NAMES.items():
        thing = getattr(context, name)(*arguments)
        yield name, thing[0] if name == "Pipe" else thing


def is_ours(code):
    """Return whether a class, or one that it derives from, or a function is millpond's."""
    package = sys.modules.get("millpond")
    if package is None:
        return False
    # Functions are millpond's where its engine has room, as they say.
    code = getattr(code, "__wrapped__", code)
    modules = [base.__module__ for base in getattr(code, "__mro__", [code])]
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    directory = os.path.join(os.path.dirname(package.__file__), "")
    return any((file or "").startswith(directory) for file in files)


def prove(report, method):
    """Report the origins here and in a child."""
    import multiprocessing

    tell(report, "the class's process", origins(method))
    context = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=_send_origins, args=(writer, method))
    child.start()
    writer.close()
    answer = reader.recv()
    child.join()
    tell(report, "a child", answer)


def _send_origins(writer, method):
    writer.send(origins(method))


def isolated(report):
    """Report the origins in interpreters that heed no environment and no `site`."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); import driver, json; "
        "print(json.dumps(driver.origins('fork')))"
    )
    for option in ("-I", "-E", "-S"):
        here = os.path.dirname(os.path.abspath(__file__))
        command = [sys.executable, option, "-c", code, here]
        answer = subprocess.run(command, check=True, capture_output=True).stdout
        tell(report, f"python {option}", json.loads(answer))


def tell(report, place, found):
    """Report the origins of one place."""
    os.write(report, json.dumps({"place": place, "origins": found}).encode() + b"\n")


def main():
    """Do what the command line says."""
    report = int(sys.argv[1])
    # Background jobs of a shell ignore it, and tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[2] == "list":
        for owner, test in cases(sys.argv[3]):
            line = json.dumps({"class": owner, "test": test._testMethodName})
            os.write(report, line.encode() + b"\n")
    elif sys.argv[2] == "run":
        run(report, sys.argv[3], sys.argv[4], frozenset(sys.argv[5:]))
    else:
        isolated(report)


if __name__ == "__main__":
    main()
