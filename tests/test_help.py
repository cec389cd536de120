"""What `help()` shows of every public class, method and function that millpond has itself."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import millpond
import millpond._engine

MODULES = """
    millpond millpond.connection millpond.context millpond.exceptions millpond.futures millpond.heap
    millpond.pool millpond.queues millpond.sharedctypes millpond.synchronize
""".split()

# What `Value` and `Array` return, which `__all__` of the standard library's module has not.
WRAPPERS = "Synchronized SynchronizedArray SynchronizedBase SynchronizedString".split()

# Context managers are used by a statement, and yet `help()` lists how they enter and exit.
SHOWN = {"__enter__", "__exit__"}

DESCRIPTORS = (property, types.GetSetDescriptorType)


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "millpond"


def public() -> Iterator[Any]:
    """Yield the public classes and functions."""
    for name in MODULES:
        module = importlib.import_module(name)
        for member in [*module.__all__, *WRAPPERS] if "ctypes" in name else module.__all__:
            thing = getattr(module, member)
            # A function of `millpond` is a method of the default context.
            thing = getattr(thing, "__func__", thing)
            if callable(thing) and is_ours(thing):
                yield thing


CLASSES = sorted({thing for thing in public() if isinstance(thing, type)}, key=str)
FUNCTIONS = sorted({thing for thing in public() if not isinstance(thing, type)}, key=str)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class that millpond defines."""
    for name in dir(cls):
        if name.startswith("_") and name not in SHOWN:
            continue
        owner = next((base for base in cls.__mro__ if name in vars(base)), None)
        if owner is None or not is_ours(owner):
            continue
        found = inspect.getattr_static(cls, name)
        if isinstance(found, DESCRIPTORS):
            yield f"{cls.__name__}.{name}", found
        elif callable(getattr(cls, name)) and not isinstance(getattr(cls, name), type):
            yield f"{cls.__name__}.{name}", getattr(cls, name)


CALLABLES = [
    *((function.__qualname__, function) for function in FUNCTIONS),
    *(member for cls in CLASSES for member in members(cls)),
]


def test_all_of_it_is_looked_at() -> None:
    names = {name for name, _ in CALLABLES}
    assert {"install", "shared_array", "Lock.acquire", "Queue.put_many", "Barrier.broken"} <= names
    assert {"Connection.recv_bytes", "ForkContext.Value", "Synchronized.value"} <= names


@pytest.mark.parametrize("cls", CLASSES)
def test_class(cls: type) -> None:
    assert vars(cls).get("__doc__"), "it has no docstring of its own"
    assert cls.__name__ in pydoc.render_doc(cls)
    # An exception without an `__init__` has no signature; it takes a text, as all exceptions do.
    if not issubclass(cls, BaseException) or "__init__" in vars(cls):
        inspect.signature(cls)


@pytest.mark.parametrize(("name", "thing"), CALLABLES, ids=[name for name, _ in CALLABLES])
def test_docstring(name: str, thing: Any) -> None:
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    summary = doc.partition("\n")[0]
    assert summary.endswith((".", "?")), summary
    if isinstance(thing, DESCRIPTORS):
        return
    verb = summary.split()[0]
    assert not verb.endswith("s") or verb == "Pass", f"{verb!r} is not an imperative"
    parameters = inspect.signature(thing).parameters
    if "timeout" in parameters:
        assert "second" in doc, "in which unit is the timeout?"


STUBS = Path(millpond.__file__).with_name("_engine.pyi")


def test_stubs_have_the_docstrings_of_the_engine() -> None:
    """Editors show what the stubs say, so they say what `help()` does."""
    wrong = []
    for cls in ast.walk(ast.parse(STUBS.read_text())):
        if not isinstance(cls, ast.ClassDef) or cls.name.startswith("_"):
            continue
        for method in cls.body:
            if not isinstance(method, ast.FunctionDef) or not is_documented(cls, method):
                continue
            compiled = inspect.getdoc(getattr(getattr(millpond._engine, cls.name), method.name))
            if ast.get_docstring(method) != compiled:
                wrong.append(f"{cls.name}.{method.name}:\n{compiled}")
    assert not wrong, "in _engine.pyi these differ from the engine's:\n" + "\n\n".join(wrong)


def is_documented(cls: ast.ClassDef, method: ast.FunctionDef) -> bool:
    """Return whether programs use the method: those of classes that Python subclasses."""
    is_subclassed = any(ast.unparse(mark) == "disjoint_base" for mark in cls.decorator_list)
    is_setter = any(ast.unparse(mark).endswith(".setter") for mark in method.decorator_list)
    is_public = not method.name.startswith("_") or method.name in SHOWN
    return is_subclassed and is_public and not is_setter
