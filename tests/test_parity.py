"""Each public name and signature of `multiprocessing` is millpond's too, but for a list of them.

The list is a table of COMPATIBILITY.md. Its entries are names, each below the name of its module,
and parameters, in the parentheses of what takes them: `pool.Pool.imap(buffersize)`.
"""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
import pkgutil
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from multiprocessing import heap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import millpond

PAGE = (Path(__file__).parents[1] / "COMPATIBILITY.md").read_text()
PACKAGES = (millpond, multiprocessing)
METHODS = ["fork", "spawn", "forkserver"]
MODULES = [
    "",
    "dummy",
    *(
        module.name
        for module in pkgutil.iter_modules(multiprocessing.__path__)
        if not module.name.endswith("win32") and module.name != "dummy"
    ),
]

OF_NO_INTEREST = set(
    "__all__ __annotate__ __annotate_func__ __annotations__ __annotations_cache__ __builtins__ "
    "__cached__ __dict__ __doc__ __file__ __firstlineno__ __loader__ __module__ __name__ "
    "__package__ __path__ __signature__ __slots__ __spec__ __static_attributes__ "
    "__weakref__".split()
)
"""What Python gives to modules and classes as they are written."""


def is_public(name: str) -> bool:
    """Whether a name is for everybody; methods that Python itself calls are."""
    special = name.startswith("__") and name.endswith("__")
    return name not in OF_NO_INTEREST and (special or not name.startswith("_"))


def in_order(thing: object) -> list[str]:
    """The public names of a module or a class, those that it defines first and in that order."""
    names = {**vars(thing), **dict.fromkeys(dir(thing))}
    return [name for name in names if is_public(name)]


def parameters(function: Any) -> dict[str, Any] | None:
    """What a function is called with, by name, each with whether it needs to be given."""
    try:
        found = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return None
    if found and found[0].name == "self":
        # Compiled methods take it by position.
        del found[0]
    return {one.name: (one.kind, one.default) for one in found}


class Comparison:
    """Collects what differs, under the names that the table has."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        # What a class inherits was compared with its base.
        self._seen: set[tuple[int, int]] = set()

    def of_functions(self, where: str, ours: Any, theirs: Any) -> None:
        one, other = parameters(ours), parameters(theirs)
        if other is None or one == other:
            return
        if one is None:
            self.found.add(f"{where}(...)")
            return
        differ = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
        same_order = [name for name in one if name in other] == [n for n in other if n in one]
        if differ or not same_order:
            self.found.add(f"{where}({', '.join(sorted(differ))})")

    def of_members(self, where: str, ours: Any, theirs: Any) -> None:
        for name in in_order(theirs):
            self.of_one(f"{where}.{name}".lstrip("."), name, ours, theirs)
        if isinstance(theirs, type):
            self.of_functions(where, ours, theirs)
            inherited = {n for base in theirs.__mro__[1:] for n in vars(base)}
            for name in in_order(ours):
                added = not name.startswith("_") and not hasattr(theirs, name)
                if added and name not in inherited:
                    self._add(f"{where}.{name}", getattr(ours, name), None)

    def of_one(self, where: str, name: str, ours: Any, theirs: Any) -> None:
        expected = getattr(theirs, name)
        if isinstance(expected, ModuleType):
            return
        if not hasattr(ours, name):
            self._add(where, None, expected)
            return
        actual = getattr(ours, name)
        if actual is expected:
            return
        code = tuple(id(getattr(part, "__func__", part)) for part in (actual, expected))
        if code in self._seen:
            return
        self._seen.add(code)  # type: ignore[arg-type]
        if isinstance(expected, type) and expected.__module__.startswith("multiprocessing"):
            self.of_members(where, actual, expected)
        elif callable(expected) != callable(actual):
            self.found.add(where)
        elif callable(expected) and not name.startswith("__"):
            self.of_functions(where, actual, expected)

    def _add(self, where: str, ours: Any, theirs: Any) -> None:
        code = id(ours), id(theirs)
        if code not in self._seen:
            self._seen.add(code)
            self.found.add(where)


def module_of(package: ModuleType, name: str) -> ModuleType:
    """A module of one of the two packages, or the package itself."""
    return importlib.import_module(f"{package.__name__}.{name}".rstrip("."))


def objects(context: Any, stack: ExitStack) -> Iterator[tuple[str, Any]]:
    """Objects that programs get from a context, and what of the library knows each."""
    for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event"):
        yield f"synchronize.{name}", getattr(context, name)()
    yield "synchronize.Barrier", context.Barrier(2)
    for name in ("Queue", "JoinableQueue", "SimpleQueue"):
        yield f"queues.{name}", stack.enter_context(closing(getattr(context, name)()))
    for end in context.Pipe():
        yield "connection.Connection", stack.enter_context(end)
    yield "sharedctypes.Synchronized", context.Value("i", 1)
    yield "sharedctypes.SynchronizedArray", context.Array("i", 2)
    yield "sharedctypes.SynchronizedString", context.Array("c", 2)
    yield "sharedctypes.RawValue", context.RawValue("i")
    yield "sharedctypes.RawArray", context.RawArray("i", 2)
    pool = context.Pool(1)
    stack.callback(pool.join)
    stack.enter_context(pool)
    yield "pool.Pool", pool
    yield "pool.AsyncResult", pool.apply_async(abs, (1,))
    yield "pool.MapResult", pool.map_async(abs, [1])
    yield "pool.IMapIterator", pool.imap(abs, [1])
    yield "process", pool._pool[0]


def listed() -> dict[str, set[str]]:
    """The entries of the table, by what they are."""
    section = PAGE.partition("\n## Names and signatures that differ\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (added|other|missing) \|", section, re.MULTILINE)
    found: dict[str, set[str]] = {"added": set(), "other": set(), "missing": set()}
    for names, kind in rows:
        found[kind] |= set(re.findall(r"`([^`]+)`", names))
    return found


def compare_modules() -> set[str]:
    comparison = Comparison()
    for name in MODULES:
        ours, theirs = module_of(millpond, name), module_of(multiprocessing, name)
        if ours is not theirs:
            comparison.of_members(name, ours, theirs)
    return comparison.found


def test_modules_and_classes() -> None:
    known = set().union(*listed().values())
    assert sorted(compare_modules() - known) == []


def test_what_is_listed_is_so() -> None:
    """As far as this version of CPython can show it."""
    found = compare_modules()
    for entry in sorted(set().union(*listed().values()) - found):
        name = entry.partition("(")[0]
        module, _, path = name.partition(".")
        if module not in MODULES:
            module, path = "", name
        ours, theirs = (module_of(package, module) for package in PACKAGES)
        for part in path.split(".")[:-1]:
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        last = path.rpartition(".")[2]
        if entry in listed()["missing"]:
            assert not hasattr(ours, last), f"{entry} is there: strike it off the list"
        else:
            newer = "(" in entry or hasattr(theirs, last)
            assert hasattr(ours, last) and newer, f"{entry} does not differ: strike it off"


@pytest.mark.parametrize("method", METHODS)
def test_contexts(method: str) -> None:
    ours, theirs = millpond.get_context(method), multiprocessing.get_context(method)
    missing = {name for name in dir(theirs) if is_public(name) and not hasattr(ours, name)}
    assert missing == set()


def test_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an instance has and its class does not, above all."""
    # The memory of the standard library's values would stay with the process.
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())
    known = set().union(*listed().values())
    found = set()
    with ExitStack() as stack:
        pairs = [objects(package.get_context("fork"), stack) for package in PACKAGES]
        for (name, ours), (_, theirs) in zip(*pairs, strict=True):
            names = {one for one in dir(theirs) if is_public(one)}
            missing = names - set(dir(ours))
            other = {
                one
                for one in names - missing
                if callable(getattr(ours, one)) != callable(getattr(theirs, one))
            }
            found |= {f"{name}.{one}" for one in missing | other}
    # What a class inherits is listed with its base.
    last = {entry.rpartition(".")[2] for entry in known}
    assert sorted(one for one in found if one.rpartition(".")[2] not in last) == []


@pytest.mark.parametrize("name", MODULES)
def test_star_imports(name: str) -> None:
    theirs = getattr(module_of(multiprocessing, name), "__all__", [])
    namespace: dict[str, object] = {}
    exec(f"from {module_of(millpond, name).__name__} import *", namespace)
    assert set(theirs) - namespace.keys() == set()
    ours = module_of(millpond, name)
    assert [one for one in getattr(ours, "__all__", []) if not hasattr(ours, one)] == []
