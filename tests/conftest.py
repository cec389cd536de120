"""Every test has a watchdog and must leave nothing behind; see support/ for both."""

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["support.leaks", "support.watchdog"]

TESTS = Path(__file__).parent

ALIKE = """
    faults/test_bad_input.py faults/test_chaos.py faults/test_fuzz_fast_lane.py
    faults/test_interrupted_submission.py faults/test_lock_owner_dies.py
    faults/test_lost_handles.py faults/test_parent_dies.py faults/test_pipe_deaths.py
    faults/test_queue_deaths.py faults/test_queue_stopped.py faults/test_random_kills.py
    faults/test_value_owner_dies.py faults/test_want.py
    primitives/test_barrier.py primitives/test_condition.py primitives/test_event.py
    primitives/test_lock.py primitives/test_memory_bounds.py primitives/test_pipe.py
    primitives/test_pipe_rings.py primitives/test_queue.py primitives/test_quick_calls.py
    primitives/test_semaphore.py
    programs/test_grid_search.py programs/test_notebook.py programs/test_process_map.py
    programs/test_sphinx.py programs/test_xdist.py
    test_bad_surroundings.py test_compatibility.py test_demo.py test_docs.py
    test_examples.py test_typing.py
""".split()
"""The files that test the same on every version of Python: the engine, or whole programs.

All others have the marker `version`, and those in this directory itself, which look at what the
interpreter has and does, `names`; see `cargo xtask test --help`.
"""


def pytest_configure() -> None:
    """Let programs under test buffer their output, and be interrupted by SIGINT."""
    os.environ.pop("PYTHONUNBUFFERED", None)
    # A background job of a shell ignores it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on the version."""
    alike = {TESTS / name for name in ALIKE}
    for path in sorted(alike):
        if not path.exists():
            raise pytest.UsageError(f"tests/conftest.py names {path}, which does not exist")
    for item in items:
        if item.path not in alike:
            item.add_marker("version")
            if item.path.parent == TESTS:
                item.add_marker("names")
