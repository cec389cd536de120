"""What type checkers see of pools, their results and executors. Nothing here is executed."""

from __future__ import annotations

import concurrent.futures
import multiprocessing.pool
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import assert_type

import millpond
from millpond.futures import Future, ProcessPoolExecutor
from millpond.pool import AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult, Pool


def name(number: int) -> str:
    return str(number)


def join(left: str, right: bytes, /, *, times: int = 1) -> list[str]:
    return [left, str(right)] * times


def pools(pool: Pool, numbers: list[int]) -> None:
    assert_type(pool.apply(name, (1,)), str)
    assert_type(pool.apply_async(name, (1,)), AsyncResult[str])
    assert_type(pool.apply_async(name, (1,), callback=note).get(timeout=1.0), str)
    assert_type(pool.map(name, numbers), list[str])
    assert_type(pool.map(name, range(3), chunksize=2), list[str])
    assert_type(pool.map_async(name, numbers), MapResult[str])
    assert_type(pool.map_async(name, numbers).get(), list[str])
    assert_type(pool.starmap(join, [("a", b"b")]), list[list[str]])
    assert_type(pool.starmap_async(join, [("a", b"b")]).get(), list[list[str]])
    assert_type(pool.imap(name, numbers), IMapIterator[str])
    assert_type(pool.imap(name, numbers, buffersize=3).next(1.0), str)
    assert_type(next(pool.imap(name, numbers)), str)
    assert_type(list(pool.imap(name, numbers)), list[str])
    assert_type(pool.imap_unordered(name, numbers), IMapUnorderedIterator[str])
    assert_type(list(pool.imap_unordered(name, numbers)), list[str])
    with millpond.get_context("spawn").Pool(2) as other:
        assert_type(other, Pool)
    with millpond.Pool(2) as other:
        assert_type(other.map(name, numbers), list[str])


def note(result: str) -> None: ...


def misuse(pool: Pool, executor: ProcessPoolExecutor) -> None:
    pool.map(name, ["1"])  # type: ignore[arg-type]
    pool.imap(name, ["1"])  # type: ignore[arg-type]
    pool.imap_unordered(name, ["1"])  # type: ignore[arg-type]
    pool.map_async(len, ["1"], callback=note)  # type: ignore[arg-type]
    pool.apply_async(len, ("1",), callback=note)  # type: ignore[misc]
    pool.starmap(name, [1])  # type: ignore[list-item]
    executor.submit(name, "1")  # type: ignore[arg-type]
    executor.submit(name)  # type: ignore[call-arg]
    executor.submit(join, "a", b"b", times="2")  # type: ignore[arg-type]


def results(result: AsyncResult[str], mapped: MapResult[str]) -> None:
    assert_type(result.get(), str)
    assert_type(result.result(1.0), str)
    assert_type(result.exception(), BaseException | None)
    assert_type(result.successful(), bool)
    assert_type(result.cancel(), bool)
    assert_type(mapped.get(), list[str])
    standard: multiprocessing.pool.AsyncResult[str] = result
    chunks: multiprocessing.pool.MapResult[str] = mapped
    future: concurrent.futures.Future[str] = result
    several: concurrent.futures.Future[list[str]] = mapped
    del standard, chunks, future, several


async def awaited(pool: Pool, executor: ProcessPoolExecutor) -> None:
    assert_type(await pool.apply_async(name, (1,)), str)
    assert_type(await pool.map_async(name, [1]), list[str])
    assert_type(await executor.submit(name, 1), str)


def executors(executor: ProcessPoolExecutor, context: BaseContext) -> None:
    assert_type(executor.submit(name, 1), Future[str])
    assert_type(executor.submit(join, "a", b"b", times=2).result(), list[str])
    assert_type(executor.map(name, [1], timeout=1.0), Iterator[str])
    assert_type(list(executor.map(name, [1], chunksize=2, buffersize=3)), list[str])
    futures = [executor.submit(name, 1)]
    for future in concurrent.futures.as_completed(futures):
        assert_type(future.result(), str)
    standard: concurrent.futures.Executor = executor
    assert_type(ProcessPoolExecutor(2, context, preload=["json"]), ProcessPoolExecutor)
    with millpond.ProcessPoolExecutor(2, context, print, ("a",)) as other:
        assert_type(other, ProcessPoolExecutor)
    del standard
