"""Every public name of multiprocessing is there, under millpond's name, and is the right object."""

from __future__ import annotations

import ast
import importlib
import multiprocessing
import multiprocessing.context
import multiprocessing.pool
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.program import run_program

import millpond
import millpond.context
import millpond.exceptions

PACKAGE = Path(millpond.__file__).parent
RESULTS = PACKAGE / "_pool" / "results.py"
METHODS = ["fork", "spawn", "forkserver"]
SUBMODULES = [
    "dummy.connection",
    *(
        module.name
        for module in pkgutil.iter_modules(multiprocessing.__path__)
        if not module.name.endswith("win32")
    ),
]

COMPATIBILITY = (Path(__file__).parents[1] / "COMPATIBILITY.md").read_text()
# What runs on the engine or on millpond's own code; everything else is the standard library's.
OURS = {
    name
    for names, today in re.findall(r"^\| (`\w.*?) \| (\w+) \|", COMPATIBILITY, re.MULTILINE)
    if today in ("engine", "own")
    for name in re.findall(r"`(\w+)`", names)
    # That of the default context asks the one of a start method, which is millpond's.
    if name != "get_context"
}
OUR_MODULES = {
    "connection",
    "context",
    "heap",
    "pool",
    "queues",
    "sharedctypes",
    "synchronize",
}


@pytest.fixture
def no_start_method() -> Iterator[None]:
    multiprocessing.set_start_method(None, force=True)
    yield
    multiprocessing.set_start_method(None, force=True)


def python(code: str) -> str:
    done = run_program([sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_every_public_name_is_there() -> None:
    assert set(multiprocessing.__all__) - set(millpond.__all__) == set()
    assert all(hasattr(millpond, name) for name in millpond.__all__)
    assert set(millpond.__all__) <= set(dir(millpond))


def test_type_checkers_are_told_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    told = {
        name
        for node in block
        for name in (
            [alias.asname or alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else [ast.unparse(node.targets[0])]
            if isinstance(node, ast.Assign)
            else []
        )
    }
    public = {name for name in told if not name.startswith("_")} - vars(millpond)["_SUBMODULES"]
    assert sorted(public | {"__version__"}) == millpond.__all__


def test_tools_that_look_at_each_name() -> None:
    code = (
        "import inspect, millpond, pydoc, pkgutil\n"
        "text = pydoc.plain(pydoc.render_doc(millpond))\n"
        "members = dict(inspect.getmembers(millpond))\n"
        "print([name for name in millpond.__all__ if name not in members])\n"
        "print([name for name in dir(millpond) if not hasattr(millpond, name)])\n"
        "print('class ProcessPoolExecutor' in text, 'install(*, subprocesses' in text)\n"
        "print(all(hasattr(millpond, module.name) or module.name.startswith('_')\n"
        "          for module in pkgutil.iter_modules(millpond.__path__)))\n"
    )
    assert python(code) == ("[]\n[]\nTrue True\nTrue\n")


def test_star_import() -> None:
    namespace: dict[str, object] = {}
    exec("from millpond import *", namespace)
    assert set(millpond.__all__) <= set(namespace)


@pytest.mark.parametrize("name", sorted(multiprocessing.__all__))
def test_name_is_the_right_object(name: str) -> None:
    ours, theirs = getattr(millpond, name), getattr(multiprocessing, name)
    if hasattr(theirs, "__func__"):
        assert ours.__self__ is millpond.context._default_context
        ours, theirs = ours.__func__, theirs.__func__
    assert (ours is theirs) == (name not in OURS)


def test_constants_of_logging() -> None:
    assert (millpond.SUBDEBUG, millpond.SUBWARNING) == (5, 25)


@pytest.mark.parametrize("name", millpond.exceptions.__all__)
def test_exceptions(name: str) -> None:
    assert getattr(millpond, name) is getattr(millpond.exceptions, name)
    assert name in millpond.__all__


def test_exception_of_the_standard_library() -> None:
    assert vars(multiprocessing.pool)["MaybeEncodingError"] is millpond.MaybeEncodingError


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'millpond' has no attribute 'Frobnicator'"):
        _ = millpond.Frobnicator  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Frobnicator' from 'millpond'"):
        exec("from millpond import Frobnicator")


@pytest.mark.parametrize("name", SUBMODULES)
def test_submodule(name: str) -> None:
    ours = importlib.import_module(f"millpond.{name}")
    theirs = importlib.import_module(f"multiprocessing.{name}")
    assert set(getattr(theirs, "__all__", ())) <= set(dir(ours))
    assert (ours is theirs) == (name not in OUR_MODULES)


@pytest.mark.parametrize("name", SUBMODULES)
@pytest.mark.parametrize("first", ["millpond", "multiprocessing"])
def test_submodule_is_loaded_once(name: str, first: str) -> None:
    second = {"millpond": "multiprocessing", "multiprocessing": "millpond"}[first]
    code = (
        f"import sys, {first}.{name}, {second}.{name}\n"
        "files = [m.__spec__.origin for m in {id(m): m for m in sys.modules.values()}.values()\n"
        "         if getattr(m, '__spec__', None) and m.__spec__.origin]\n"
        "print([f for f in files if '/multiprocessing/' in f and files.count(f) > 1])\n"
    )
    assert python(code) == "[]\n"


def test_submodules_without_an_import() -> None:
    code = (
        "import millpond as multiprocessing\n"
        "print(multiprocessing.connection.wait.__module__, multiprocessing.dummy.Pool,"
        " multiprocessing.context.BaseContext)\n"
    )
    output = re.sub(" at 0x[0-9a-f]+", "", python(code))
    assert output == (
        "millpond.connection <function Pool> <class 'millpond.context.BaseContext'>\n"
    )


def test_import_is_cheap() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import millpond\n"
        "print(sorted(set(sys.modules) - before))\n"
        "millpond.get_context('spawn'), millpond.Process, millpond.set_start_method('spawn')\n"
        "heavy = {'asyncio', 'cloudpickle', 'ctypes', 'typing', 'multiprocessing.managers',"
        " 'multiprocessing.pool', 'millpond._engine', 'millpond.pool'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )
    assert python(code) == "['millpond', 'millpond._version']\n[]\n"


def test_version() -> None:
    text = (Path(__file__).parents[1] / "Cargo.toml").read_text()
    assert millpond.__version__ == tomllib.loads(text)["workspace"]["package"]["version"]


@pytest.mark.parametrize("method", METHODS)
def test_contexts_are_those_of_the_standard_library_and_more(method: str) -> None:
    ours: Any = millpond.get_context(method)
    theirs: Any = multiprocessing.get_context(method)
    assert isinstance(ours, type(theirs))
    assert issubclass(type(ours), millpond.context.BaseContext)
    assert ours.get_start_method() == theirs.get_start_method() == method
    assert issubclass(ours.Process, theirs.Process)
    assert millpond.get_context(method) is ours
    assert ours.get_context() is ours
    assert ours.get_context("fork") is millpond.get_context("fork")


@pytest.mark.parametrize("method", METHODS)
def test_one_start_method_for_both(method: str, no_start_method: None) -> None:
    for setter, getter in ((millpond, multiprocessing), (multiprocessing, millpond)):
        setter.set_start_method(None, force=True)
        assert getter.get_start_method(allow_none=True) is None
        setter.set_start_method(method)
        assert getter.get_start_method() == method
        assert multiprocessing.get_context() is multiprocessing.get_context(method)
        assert millpond.get_context() is millpond.get_context(method)
        with pytest.raises(RuntimeError, match="context has already been set"):
            getter.set_start_method(method)


def test_default_start_method_is_settled_for_both(no_start_method: None) -> None:
    default = millpond.get_all_start_methods()[0]
    assert millpond.get_start_method(allow_none=True) is None
    assert millpond.get_start_method() == default
    assert multiprocessing.get_start_method(allow_none=True) == default


@pytest.mark.parametrize("method", METHODS)
def test_start_method_in_a_child(method: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import millpond, multiprocessing, sys\n"
        "def show():\n"
        "    print(millpond.get_start_method(), multiprocessing.get_start_method(), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    millpond.set_start_method(sys.argv[1])\n"
        "    process = millpond.Process(target=show)\n"
        "    process.start()\n"
        "    process.join()\n"
    )
    done = run_program([sys.executable, program, method])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{method} {method}\n", "")


@pytest.mark.parametrize("call", [millpond.get_context, millpond.set_start_method])
@pytest.mark.parametrize("name", ["teleport", "", "Fork", 7])
def test_unknown_start_method(call: object, name: object, no_start_method: None) -> None:
    message = (
        f"cannot find context for {name!r}: the start methods are 'fork', 'spawn', 'forkserver'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(name)  # type: ignore[operator]
    assert millpond.get_start_method(allow_none=True) is None


def test_concrete_context_keeps_its_start_method() -> None:
    with pytest.raises(ValueError, match="cannot set start method of concrete context"):
        millpond.get_context("spawn").set_start_method("fork")


def test_context_that_someone_else_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherContext(multiprocessing.context.ForkContext):
        _name = "other"

    other: object = OtherContext()
    contexts = vars(multiprocessing.context)["_concrete_contexts"]
    monkeypatch.setitem(contexts, "other", other)
    assert millpond.get_context("other") is other


@pytest.mark.parametrize("method", METHODS)
def test_pool_of_a_context(method: str) -> None:
    with millpond.get_context(method).Pool(1) as pool:
        assert repr(pool) == "<millpond.pool.Pool state=RUN pool_size=1>"
        assert pool._ctx is millpond.get_context(method)
        assert pool.apply(abs, (-1,)) == 1


def test_pool_of_the_default_context(no_start_method: None) -> None:
    with millpond.Pool(1, initializer=print, initargs=(), maxtasksperchild=3) as pool:
        assert type(pool) is millpond.pool.Pool
        assert pool._ctx is millpond.get_context()


def test_cpu_count_is_the_engine_s() -> None:
    from millpond import _engine

    assert millpond.cpu_count() == _engine.cpu_count() >= 1
    assert millpond.get_context("spawn").cpu_count() == millpond.cpu_count()


@pytest.mark.parametrize(
    "module",
    # The classes of `_pool.results` are `millpond.pool`'s, and so are their examples.
    sorted(
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.glob("**/*.py")
        if ">>>" in path.read_text() and path != RESULTS
    ),
)
def test_examples_of_the_documentation(module: str) -> None:
    name = module.removesuffix(".__init__")
    code = (
        f"import doctest, importlib; module = importlib.import_module({name!r})\n"
        "if __name__ == '__main__': print(doctest.testmod(module).attempted > 0)\n"
    )
    assert python(code) == "True\n"


def test_other_modules_keep_the_standard_library() -> None:
    code = (
        "import millpond as mp\n"
        "with mp.Pool(1) as pool: ours = [pool, mp.Queue(), mp.Lock(), *mp.Pipe(), mp.Event()]\n"
        "import multiprocessing as mp\n"
        "with mp.Pool(1) as pool: theirs = [pool, mp.Queue(), mp.Lock(), *mp.Pipe(), mp.Event()]\n"
        "print({type(each).__module__.partition('.')[0] for each in ours})\n"
        "print({type(each).__module__.partition('.')[0] for each in theirs})\n"
    )
    assert python(code) == "{'millpond'}\n{'multiprocessing'}\n"


def test_what_is_the_standard_library_s_in_modules_of_ours() -> None:
    names = {
        "pool": ["ThreadPool"],
        "heap": ["Arena", "Heap"],
        "connection": ["Client", "Listener", "answer_challenge", "deliver_challenge"],
        "context": ["AuthenticationError", "assert_spawning"],
    }
    for module, parts in names.items():
        ours = importlib.import_module(f"millpond.{module}")
        theirs = importlib.import_module(f"multiprocessing.{module}")
        assert [part for part in parts if getattr(ours, part) is not getattr(theirs, part)] == []


def test_the_base_class_of_locks_cannot_be_constructed() -> None:
    sem_lock: Any = millpond.synchronize.SemLock
    assert isinstance(millpond.Lock(), sem_lock)
    with pytest.raises(TypeError, match="SemLock is only a base class"):
        sem_lock(0, 1, 1, ctx=millpond.get_context())


def test_cpus_that_the_process_may_use() -> None:
    code = (
        "import multiprocessing, os, millpond\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "with millpond.Pool() as pool: print(millpond.cpu_count(), len(pool._pool))\n"
        "before = multiprocessing.cpu_count()\n"
        "millpond.install()\n"
        "print(before == multiprocessing.cpu_count() == os.cpu_count())\n"
    )
    assert python(code) == "1 1\nTrue\n"
