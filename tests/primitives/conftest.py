"""Fixtures of the primitives' tests: each start method's context, and processes that are reaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

import millpond
from millpond.context import BaseContext

Start = Callable[..., BaseProcess]


@pytest.fixture(autouse=True)
def _let_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what a test had: pytest would hold it, and its memory, for too long."""
    yield
    request.node.funcargs.clear()


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> BaseContext:
    return millpond.get_context(request.param)


@pytest.fixture
def start(context: BaseContext) -> Iterator[Start]:
    """Start processes that are killed, if they have not ended, when the test is over."""
    started: list[Any] = []

    def start_one(target: Callable[..., object], *args: Any) -> BaseProcess:
        process: Any = context.Process(target=target, args=args)  # type: ignore[attr-defined]
        process.start()
        started.append(process)
        return process  # type: ignore[no-any-return]

    yield start_one
    for process in started:
        process.kill()
        process.join()
        process.close()
    # They have their arguments as long as somebody holds them.
    started.clear()
