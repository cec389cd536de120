"""Fixtures of the primitives' tests: each start method's context, and processes that are reaped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.starting import Start, starting

import millpond
from millpond.context import BaseContext


@pytest.fixture(autouse=True)
def _let_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what a test had: pytest would hold it, and its memory, for too long."""
    yield
    request.node.funcargs.clear()


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> BaseContext:
    return millpond.get_context(str(request.param))


@pytest.fixture
def start(context: BaseContext) -> Iterator[Start]:
    with starting(context) as start_one:
        yield start_one
