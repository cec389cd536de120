"""Fixtures of the fault tests: pools under each start method, and a gate for their tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gate import Gate
from support.starting import Start, starting

import millpond
from millpond.context import BaseContext
from millpond.pool import Pool

PoolMaker = Callable[..., Pool]


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(start_method: str) -> BaseContext:
    return millpond.get_context(start_method)


@pytest.fixture
def make_pool(context: BaseContext, request: pytest.FixtureRequest) -> Iterator[PoolMaker]:
    """Make pools that are terminated when the test is over."""
    pools: list[Pool] = []

    def make(*args: Any, **options: Any) -> Pool:
        pools.append(context.Pool(*args, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.terminate()
        pool.join()
    # A pool has descriptors as long as somebody holds it, which pytest would do for too long.
    pools.clear()
    request.node.funcargs.clear()


@pytest.fixture
def start(context: BaseContext, request: pytest.FixtureRequest) -> Iterator[Start]:
    with starting(context) as start_one:
        yield start_one
    request.node.funcargs.clear()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate that opens at the latest when the test is over."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
