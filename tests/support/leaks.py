"""A pytest plugin: a test that leaves something behind fails, and so does a run that does.

What counts: processes (descendants, and orphans of the process group), open file descriptors,
files in /dev/shm, and threads named millpond*. A test may come to that a moment late: what is on
its way out is waited for.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator

import pytest

from support.belongings import Belongings, used_by_others
from support.processes import send, wait_until

# What something on its way out gets; the wait ends as soon as it is gone.
GRACE = 10.0


_before = pytest.StashKey[Belongings]()
_failed = pytest.StashKey[bool]()

# What a test was blamed for, so that the run is not blamed again.
_reported = Belongings()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def watchdog(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves anything behind; set up first, hence checked last."""
    before = Belongings.now()
    yield
    remains = _left_since(before, failed=request.node.stash.get(_failed, False))
    if remains:
        pytest.fail(f"the test left behind:\n{_cleared(remains)}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.stash[_before] = Belongings.now()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail the run if it leaves anything behind, what belongs to wider fixtures included."""
    yield
    _stop_helpers()
    remains = _left_since(session.stash[_before], failed=session.testsfailed > 0)
    if remains:
        text = f"\nthe run left behind:\n{_cleared(remains)}"
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(text, red=True)


def _left_since(before: Belongings, *, failed: bool) -> Belongings:
    """What was not there before and does not go away.

    What failed keeps the objects of its frames alive, and descriptors with them.
    """
    global _reported

    _stop_templates()

    def left() -> Belongings:
        _reap()
        added = Belongings.now() - before - _reported
        if failed:
            added -= Belongings(descriptors=added.descriptors)
        if not added.shared_memory:
            return added
        return added - Belongings(shared_memory=used_by_others(added.shared_memory))

    if not left():
        return Belongings()
    gc.collect()
    if wait_until(lambda: not left(), GRACE):
        return Belongings()
    remains = left()
    _reported |= remains
    return remains


def _cleared(remains: Belongings) -> str:
    """Kill the processes; the text that tells what was there."""
    text = str(remains)
    for pid in remains.processes:
        send(pid, signal.SIGKILL)
    return text


def _reap() -> None:
    """Collect the exit statuses of ended processes whose owners did not ask for them yet."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.active_children()


def _stop_templates() -> None:
    """End what stays for the program's next pool under spawn or forkserver."""
    template = sys.modules.get("millpond._pool.template")
    if template is not None:
        template.stop_all()


def _stop_helpers() -> None:
    for name, helper in (
        ("multiprocessing.forkserver", "_forkserver"),
        ("multiprocessing.resource_tracker", "_resource_tracker"),
    ):
        if name in sys.modules:
            getattr(sys.modules[name], helper)._stop()
