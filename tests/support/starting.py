"""Starting processes and threads in a test, none of which outlives it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from millpond.context import BaseContext

Start = Callable[..., BaseProcess]


@contextmanager
def starting(context: BaseContext) -> Iterator[Start]:
    """Start processes that are killed, if they have not ended, when the test is over."""
    started: list[BaseProcess] = []

    def start_one(target: Callable[..., object], *args: Any) -> BaseProcess:
        process = context.Process(target=target, args=args)
        process.start()
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.join()
        process.close()
    # They have their arguments as long as somebody holds them.
    started.clear()


@contextmanager
def running(thread: threading.Thread) -> Iterator[None]:
    """Start a thread, and wait for its end."""
    try:
        thread.start()
        yield
    finally:
        thread.join()
