"""The private names of CPython that millpond uses are where this interpreter has them."""

from __future__ import annotations

import re
import sys
from concurrent.futures import Future
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from support.program import run_program

import millpond
from millpond import _cpython
from millpond._install.table import OURS, WRAPPED

PACKAGE = Path(millpond.__file__).parent
LISTED = [(module, name) for module, names in _cpython.NAMES.items() for name in names.split()]

# `vars(module)["_name"]`, which type checkers let pass.
LOOKED_UP = re.compile(r'vars\((?:\w+)\)\["(\w+)"\]')
IMPORTED = re.compile(r"^ *from (?:multiprocessing|concurrent)[\w.]* import (_\w+)", re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), LISTED, ids=".".join)
def test_it_is_there(module: str, name: str) -> None:
    _cpython.get(module, name)


@pytest.mark.parametrize(("module", "name"), _cpython.NEWER)
def test_what_is_newer_is_there_since(module: str, name: str) -> None:
    there = hasattr(import_module(module), name)
    assert there or sys.version_info[:3] < _cpython.NEWER[module, name]


def test_what_each_future_has() -> None:
    assert sorted(vars(Future())) == _cpython.OF_A_FUTURE.split()


@pytest.mark.parametrize("module", sorted({*OURS, *WRAPPED}))
def test_what_install_sets_is_there(module: str) -> None:
    """It leaves a module alone that lacks one of the names."""
    theirs = import_module(module)
    for name in (*OURS.get(module, ()), *WRAPPED.get(module, ())):
        assert attrgetter(name)(theirs) is not None


def test_where_the_fork_server_gets_millpond() -> None:
    import inspect
    from multiprocessing.forkserver import ForkServer

    source = inspect.getsource(ForkServer.ensure_running)
    assert _cpython.marker_of_fork_server() in source
    assert "util.spawnv_passfds(" in source


def test_all_of_them_are_listed() -> None:
    known = {part for _, name in LISTED for part in name.split(".")}
    known |= {name for _, name in _cpython.NEWER} | {*_cpython.OF_A_FUTURE.split()}
    sources = [path.read_text() for path in PACKAGE.glob("**/*.py")]
    used = {
        name
        for source in sources
        for pattern in (LOOKED_UP, IMPORTED)
        for name in pattern.findall(source)
    }
    assert sorted(used - known) == []


def test_what_is_gone_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("multiprocessing.context._concrete_contexts")
    version = re.escape(sys.version.split()[0])
    message = f"CPython {version}: multiprocessing.context has no _concrete_contexts"
    with pytest.raises(ImportError, match=message):
        _cpython.get("multiprocessing.context", "_concrete_contexts")


FORGOTTEN = """
import importlib, millpond
from types import FunctionType, ModuleType
from millpond._install import stand_ins, table

def functions(member):
    if isinstance(member, property):
        return [part for part in (member.fget, member.fset) if isinstance(part, FunctionType)]
    member = getattr(member, "__func__", member)
    return [member] if isinstance(member, FunctionType) else []

millpond.install()
found = []
for name in table.OURS:
    module = importlib.import_module(name)
    own = stand_ins._own[name]
    kinds = [kind for kind in own.values() if isinstance(kind, type)]
    names = {key for key in own if own[key] is not vars(module)[key]}
    for holder in [module, *kinds]:
        for key, member in list(vars(holder).items()):
            for function in functions(member):
                if function.__globals__ is vars(module):
                    if stand_ins._uses(function.__code__, names):
                        found.append(f"{name}.{function.__qualname__}")
print(*sorted(found))
"""


def test_which_functions_of_the_standard_library_see_millpond_s_names() -> None:
    """What uses a name that `install` sets must have the standard library's.

    `_new_value` takes memory from `heap`, where it may be millpond's; `reduce_ctype` means the
    `Array` of ctypes.
    """
    done = run_program([sys.executable, "-c", FORGOTTEN])
    assert done.stderr == ""
    assert done.stdout.split() == [
        f"multiprocessing.sharedctypes.{name}" for name in ("_new_value", "reduce_ctype")
    ]
