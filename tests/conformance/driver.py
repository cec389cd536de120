"""What runs in the interpreter under test: lists the tests of a suite, or runs one class of it.

It imports nothing of this project, as it also runs where there is none. Its answers are lines of
JSON on the descriptor that it is given.

    driver.py REPORT list SUITE
    driver.py REPORT run SUITE CLASS [TEST…]     without the tests named
    driver.py REPORT proof METHOD                whose code the names are, here and in children
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


def run(report, suite, name, without):
    """Run one class of a suite."""
    chosen = unittest.TestSuite(
        test
        for owner, test in cases(suite)
        if owner == name and test._testMethodName not in without
    )
    chosen.run(Recorder(report))


NAMES = {
    "pool": ["Pool"],
    "synchronize": [
        "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier",
    ],
    "queues": ["Queue", "JoinableQueue", "SimpleQueue"],
    "connection": ["Pipe"],
    "sharedctypes": ["Value", "Array", "RawValue", "RawArray"],
}  # fmt: skip


def origins():
    """Return for each name the module that its code comes from."""
    from importlib import import_module

    import_module("multiprocessing")
    found = {"installed": "millpond" in sys.modules and sys.modules["millpond"].is_installed()}
    for module, names in NAMES.items():
        for name in names:
            value = getattr(import_module(f"multiprocessing.{module}"), name)
            code = getattr(value, "__code__", None)
            if code is not None:
                origin = code.co_filename
            else:
                origin = " ".join(
                    getattr(sys.modules.get(base.__module__), "__file__", None) or base.__module__
                    for base in value.__mro__
                )
            found[name] = "millpond" in origin.replace("millpond_judge", "")
    return found


def prove(report, method):
    """Report the origins here, in a child of this start method, and in isolated interpreters."""
    import multiprocessing

    os.write(report, json.dumps(origins()).encode() + b"\n")
    context = multiprocessing.get_context(method)
    child = context.Process(target=_tell, args=(queue := context.SimpleQueue(),))
    child.start()
    answer = queue.get()
    child.join()
    os.write(report, json.dumps(answer).encode() + b"\n")
    code = (
        "import sys; sys.path.append(sys.argv[1]); import driver, json; "
        "print(json.dumps(driver.origins()))"
    )
    for option in ("-I", "-E", "-S"):
        here = os.path.dirname(os.path.abspath(__file__))
        command = [sys.executable, option, "-c", code, here]
        answer = subprocess.run(command, check=True, capture_output=True).stdout
        os.write(report, answer)


def _tell(queue):
    queue.put(origins())


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
        prove(report, sys.argv[3])


if __name__ == "__main__":
    main()
