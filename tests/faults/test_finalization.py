"""Interpreters that finalize while a daemon thread is in the engine, or in Python code under it."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

import pytest
from support.program import run_program

from millpond import _engine

PROGRAM = Path(__file__).parent / "programs" / "lingering_threads.py"
ENTRIES = re.findall(r"^def (in_\w+)", PROGRAM.read_text(), re.MULTILINE)

STAND_INS = Path(__file__).parents[2] / "crates/millpond-py/src/finalization.rs"

PLAIN = """
    PyBuffer_FromContiguous PyBuffer_ToContiguous PyByteArray_AsString
    PyByteArray_FromStringAndSize PyByteArray_Size PyBytes_AsString PyBytes_FromStringAndSize
    PyBytes_Size PyDict_Next PyDict_Size PyErr_ExceptionMatches PyErr_Fetch
    PyErr_GivenExceptionMatches PyErr_Occurred PyException_GetTraceback PyFloat_FromDouble
    PyList_Append PyList_GetItem PyList_Size PyLong_FromLong PyLong_FromLongLong
    PyLong_FromSsize_t PyLong_FromUnsignedLongLong PyModuleDef_Init PyModule_GetNameObject
    PyObject_GC_UnTrack PySequence_Check PyTuple_GetItem PyTuple_Size PyType_GetFlags
    PyType_GetName PyType_GetQualName PyType_IsSubtype PyUnicode_FromStringAndSize
    PyUnicode_InternInPlace Py_IsInitialized Py_NewRef _Py_IncRef
""".split()
"""Functions of CPython that never run Python code, nor allocate what can be garbage."""

USED_PLAINLY = """
    PyList_SetItem PyLong_AsLongLongAndOverflow PyObject_GenericGetDict PyObject_GenericSetDict
    PyTuple_SetItem
""".split()
"""Functions that the engine uses for new lists, new tuples and exact ints alone, or does not call
but hands to CPython."""


@pytest.mark.parametrize("entry", ENTRIES)
def test_daemon_threads_end_with_the_program(entry: str) -> None:
    done = run_program([sys.executable, PROGRAM, entry])
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("entry", ["in_put", "in_get", "in_action_of_barrier", "in_waiting_get"])
def test_daemon_threads_end_with_a_child(entry: str, method: str) -> None:
    done = run_program([sys.executable, PROGRAM, entry, method])
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="CPython hangs such threads itself")
def test_functions_that_may_run_python_code_have_stand_ins() -> None:
    assert _engine.__file__ is not None
    imported = imports(Path(_engine.__file__).read_bytes())
    functions = {name for name in imported if re.match("_?Py", name) and not is_data(name)}
    stand_ins = set(re.findall(r"^    (?:fn )?(_?Py\w+)\b", STAND_INS.read_text(), re.MULTILINE))
    assert functions - stand_ins == {*PLAIN, *USED_PLAINLY, "PyEval_SaveThread"} & functions
    assert stand_ins <= functions


def is_data(name: str) -> bool:
    return name.startswith("PyExc_") or name.endswith(("_Type", "Struct"))


def imports(library: bytes) -> set[str]:
    """Return the names of the dynamic symbols that a 64-bit ELF file imports."""
    [start] = struct.unpack_from("<Q", library, 0x28)
    size, count = struct.unpack_from("<HH", library, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", library, start + i * size) for i in range(count)]
    [table] = [section for section in sections if section[1] == 11]
    texts = sections[table[6]]
    names = set()
    for entry in range(table[4], table[4] + table[5], table[9]):
        name, _, _, section = struct.unpack_from("<IBBH", library, entry)
        if section == 0:
            first = texts[4] + name
            names.add(library[first : library.index(b"\0", first)].decode())
    return names
