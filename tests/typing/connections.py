"""Types of pipes, and of what waits for them."""

from __future__ import annotations

import multiprocessing.connection
import socket
from typing import Any, assert_type

import millpond
from millpond.connection import Client, Connection, Listener, Pipe, wait


def pipes() -> None:
    left, right = millpond.Pipe()
    assert_type(left, Connection[Any, Any])
    assert_type(left.send({"answer": 42}), None)
    assert_type(right.recv(), Any)
    assert_type(millpond.Pipe(duplex=False), tuple[Connection[Any, Any], Connection[Any, Any]])
    assert_type(Pipe(False), tuple[Connection[Any, Any], Connection[Any, Any]])


def connection(end: Connection[str, int]) -> None:
    assert_type(end.send("question"), None)
    assert_type(end.recv(), int)
    assert_type(end.send_bytes(b"bytes", 1, size=2), None)
    assert_type(end.send_bytes(memoryview(b"bytes")), None)
    assert_type(end.recv_bytes(), bytes)
    assert_type(end.recv_bytes(maxlength=10), bytes)
    assert_type(end.recv_bytes_into(bytearray(10), offset=2), int)
    assert_type(end.poll(), bool)
    assert_type(end.poll(None), bool)
    assert_type(end.fileno(), int)
    assert_type(end.closed, bool)
    assert_type(end.readable, bool)
    assert_type(end.writable, bool)
    with end as entered:
        assert_type(entered, Connection[str, int])
    assert_type(end.close(), None)


def without_parameters(end: Connection) -> None:
    assert_type(end.recv(), Any)


def typed_ends() -> None:
    ends: tuple[Connection[str, int], Connection[int, str]] = millpond.Pipe()
    assert_type(ends[0].recv(), int)
    assert_type(ends[1].recv(), str)


def as_that_of_the_standard_library(end: Connection[Any, Any]) -> None:
    theirs: multiprocessing.connection.Connection[Any, Any] = end
    theirs.close()


def waiting(end: Connection[str, int], peer: socket.socket, process: millpond.Process) -> None:
    assert_type(wait([end]), list[Connection[str, int]])
    assert_type(wait([peer], timeout=1.5), list[socket.socket])
    assert_type(wait([process.sentinel], 0), list[int])
    assert_type(wait([end, peer, process.sentinel]), list[Any])


def listening() -> None:
    with Listener(family="AF_UNIX") as listener:
        theirs: multiprocessing.connection.Connection[Any, Any] = listener.accept()
        theirs.close()
    Client(("localhost", 6000)).close()
