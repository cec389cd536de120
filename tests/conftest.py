"""Every test has a watchdog and must leave nothing behind; see support/ for both."""

import signal

pytest_plugins = ["support.leaks", "support.watchdog"]


def pytest_configure() -> None:
    """Let programs under test be interrupted: a background job of a shell ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
