"""A pytest plugin: when a test runs out of time, say where every process and thread stands.

pytest-timeout decides when (`timeout` in pyproject.toml, `@pytest.mark.timeout(seconds)` on a
test). This plugin then shows the stacks of all threads, reports on the processes that the run has
started, has them write their tracebacks, and ends them and the run, so that a hang leaves nothing
behind. Unlike pytest-timeout alone it also watches the teardown of a failed test.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading

import pytest
import pytest_timeout

from support.belongings import own_processes
from support.processes import post_mortem

_timer = pytest.StashKey[threading.Timer]()
_done = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    timer = threading.Timer(settings.timeout, _expire, (item, settings))
    timer.name = f"watchdog of {item.nodeid}"
    timer.daemon = True
    item.stash[_timer] = timer
    timer.start()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Cancel when all of the test is done; a failure alone, after which this is called too, is
    not the end of it unless a debugger takes over."""
    timer = item.stash.get(_timer, None)
    done = item.stash.get(_done, False)
    if timer is not None and (done or item.config.getoption("usepdb")):
        timer.cancel()
        timer.join()
    return True


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol(item: pytest.Item) -> object:
    """Runs inside pytest-timeout's own wrapper, hence before its last call to cancel."""
    try:
        return (yield)
    finally:
        item.stash[_done] = True


def _expire(item: pytest.Item, settings: pytest_timeout.Settings) -> None:
    if pytest_timeout.is_debugging():
        return
    others = own_processes() - {os.getpid()}
    captured = ""
    capture = item.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
        captured = "".join(capture.read_global_capture())
    print(
        f"\n{item.nodeid} ran out of time ({settings.timeout:g} s), with {len(others)} other "
        f"processes\n{captured}",
        file=sys.stderr,
        flush=True,
    )
    # Before the others are killed, which may let threads of this process go on.
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    print(post_mortem(others), file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
