"""Types of contexts, and of the functions that belong to no class."""

from __future__ import annotations

import logging
from multiprocessing.process import BaseProcess
from typing import Any, assert_type

import millpond
import millpond.queues
import millpond.synchronize
from millpond.connection import Connection
from millpond.context import (
    BaseContext,
    DefaultContext,
    ForkContext,
    ForkServerContext,
    SpawnContext,
)


def contexts(method: str) -> None:
    assert_type(millpond.get_context(), DefaultContext)
    assert_type(millpond.get_context("fork"), ForkContext)
    assert_type(millpond.get_context("spawn"), SpawnContext)
    assert_type(millpond.get_context("forkserver"), ForkServerContext)
    assert_type(millpond.get_context(method), BaseContext)
    assert_type(millpond.get_context("fork").get_context("spawn"), SpawnContext)


def methods_of_a_context(context: BaseContext) -> None:
    assert_type(context.Lock(), millpond.synchronize.Lock)
    assert_type(context.RLock(), millpond.synchronize.RLock)
    assert_type(context.Semaphore(), millpond.synchronize.Semaphore)
    assert_type(context.BoundedSemaphore(2), millpond.synchronize.BoundedSemaphore)
    assert_type(context.Condition(context.Lock()), millpond.synchronize.Condition)
    assert_type(context.Event(), millpond.synchronize.Event)
    assert_type(context.Barrier(2), millpond.synchronize.Barrier)
    assert_type(context.Queue(3), millpond.queues.Queue[Any])
    assert_type(context.JoinableQueue(3), millpond.queues.JoinableQueue[Any])
    assert_type(context.SimpleQueue(), millpond.queues.SimpleQueue[Any])
    assert_type(context.Pipe(), tuple[Connection[Any, Any], Connection[Any, Any]])
    assert_type(context.cpu_count(), int)
    assert_type(context.get_start_method(), str)
    assert_type(context.freeze_support(), None)
    assert_type(context.Process(target=print), BaseProcess)
    raise context.TimeoutError


def start_methods() -> None:
    assert_type(millpond.get_start_method(), str)
    assert_type(millpond.get_all_start_methods(), list[str])
    assert_type(millpond.set_start_method("spawn", force=True), None)
    assert_type(millpond.set_executable("/usr/bin/python3"), None)
    assert_type(millpond.set_forkserver_preload(["json"]), None)


def other_functions() -> None:
    assert_type(millpond.cpu_count(), int)
    assert_type(millpond.freeze_support(), None)
    assert_type(millpond.get_logger(), logging.Logger)
    assert_type(millpond.log_to_stderr(logging.INFO), logging.Logger)
    assert_type(millpond.allow_connection_pickling(), None)
    assert_type(millpond.__version__, str)


def installation() -> None:
    assert_type(millpond.install(), None)
    assert_type(millpond.install(subprocesses=True), None)
    assert_type(millpond.is_installed(), bool)
    assert_type(millpond.uninstall(), None)
