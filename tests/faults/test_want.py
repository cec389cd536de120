"""Pools when memory or descriptors run out: one task fails, or waits, and the pool goes on."""

from __future__ import annotations

import errno

from fault_programs import start_fault_program


def test_of_memory(start_method: str) -> None:
    with start_fault_program("want_memory", start_method) as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "argument MemoryError",
        "[0, 1, 2]",
        f"argument {64 << 20}",
        f"result {1 << 20}",
        "too large to make MemoryError",
        "too large to send MaybeEncodingError",
        f"result {1 << 20}",
    ]


def test_of_memory_for_functions(start_method: str) -> None:
    with start_fault_program("want_function_memory", start_method) as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    refused = f"refused OSError {errno.EFBIG}"
    assert done.stdout.splitlines() == [
        *[refused] * 3,
        "next 2",
        f"map {errno.EFBIG}",
        "again 2",
        "too large MemoryError None",
        "next 2",
        "again 2",
    ]


def test_of_mappings(start_method: str) -> None:
    with start_fault_program("want_mappings", start_method) as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{40000} True\n"


def test_of_descriptors(start_method: str) -> None:
    with start_fault_program("want_descriptors", start_method) as program:
        done = program.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"[0, 1, 2] {1 << 20}\n3 [0, 1, 2]\n"
