"""`millpond.install()` puts millpond in place of multiprocessing, `uninstall()` takes it out."""

from __future__ import annotations

import multiprocessing.pool
import multiprocessing.spawn
import multiprocessing.util
import os
import pickle
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from support.program import run_program

import millpond

METHODS = ["fork", "spawn", "forkserver"]
EARLIER_POOL = multiprocessing.Pool
STDLIB_POOL = multiprocessing.pool.Pool
STDLIB_FUNCTIONS = (multiprocessing.spawn.get_preparation_data, multiprocessing.util.spawnv_passfds)


@pytest.fixture
def installed() -> Iterator[None]:
    millpond.install()
    yield
    millpond.uninstall()


def run(folder: Path, body: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Run a program, and return what it and its children printed."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(body))
    done = run_program([sys.executable, *options, program, *arguments], cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_every_way_to_a_pool(installed: None) -> None:
    from multiprocessing.pool import Pool

    assert Pool is multiprocessing.pool.Pool
    assert issubclass(Pool, millpond.pool.Pool)
    with (
        Pool(1) as one,
        multiprocessing.Pool(1) as two,
        multiprocessing.get_context("fork").Pool(1) as three,
        EARLIER_POOL(1) as four,
    ):
        for pool in (one, two, three, four):
            assert type(pool) is Pool
            assert repr(pool) == "<multiprocessing.pool.Pool state=RUN pool_size=1>"
            assert pool.apply(abs, [-3]) == 3


def test_pool_of_millpond_keeps_its_own_name(installed: None) -> None:
    with millpond.Pool(1) as pool:
        assert repr(pool) == "<millpond.pool.Pool state=RUN pool_size=1>"


def test_class_travels_by_name(installed: None) -> None:
    pool = multiprocessing.pool.Pool
    assert (pool.__module__, pool.__qualname__) == ("multiprocessing.pool", "Pool")
    assert pickle.loads(pickle.dumps(pool)) is pool
    assert pool.__doc__ == millpond.pool.Pool.__doc__


def test_thread_pool_is_the_standard_library_s(installed: None) -> None:
    assert issubclass(multiprocessing.pool.ThreadPool, STDLIB_POOL)
    with multiprocessing.pool.ThreadPool(2) as pool:
        assert repr(pool) == "<multiprocessing.pool.ThreadPool state=RUN pool_size=2>"
        assert pool.map(abs, range(-3, 0)) == [3, 2, 1]
        assert list(pool.imap(abs, range(-3, 0))) == [3, 2, 1]


def test_uninstall_leaves_nothing(installed: None) -> None:
    path = list(sys.meta_path)
    millpond.uninstall()
    assert multiprocessing.pool.Pool is STDLIB_POOL
    assert type(multiprocessing.pool) is type(sys)
    assert multiprocessing.spawn.get_preparation_data is STDLIB_FUNCTIONS[0]
    assert multiprocessing.util.spawnv_passfds is STDLIB_FUNCTIONS[1]
    assert len(sys.meta_path) == len(path) - 1
    assert not millpond.is_installed()


def test_install_twice_and_uninstall_twice(installed: None) -> None:
    path = list(sys.meta_path)
    function = multiprocessing.spawn.get_preparation_data
    millpond.install()
    assert sys.meta_path == path
    assert multiprocessing.spawn.get_preparation_data is function
    millpond.uninstall()
    millpond.uninstall()
    assert multiprocessing.pool.Pool is STDLIB_POOL
    millpond.install()
    assert issubclass(multiprocessing.pool.Pool, millpond.pool.Pool)


def test_class_replaced_for_a_while(installed: None) -> None:
    pool = multiprocessing.pool.Pool
    with mock.patch("multiprocessing.pool.Pool") as fake:
        from multiprocessing.pool import Pool

        assert Pool is fake
    assert multiprocessing.pool.Pool is pool


def test_class_replaced_for_a_while_by_pytest(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = multiprocessing.pool.Pool
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.pool.Pool", mock.sentinel.fake)
        assert multiprocessing.pool.Pool is mock.sentinel.fake
    assert multiprocessing.pool.Pool is pool


def test_function_wrapped_by_someone_else(installed: None) -> None:
    ours = multiprocessing.spawn.get_preparation_data

    def theirs(name: str) -> object:
        return ours(name)

    with mock.patch("multiprocessing.spawn.get_preparation_data", theirs):
        millpond.uninstall()
        assert multiprocessing.spawn.get_preparation_data is theirs
    multiprocessing.spawn.get_preparation_data = STDLIB_FUNCTIONS[0]


@pytest.mark.parametrize("method", METHODS)
def test_function_that_was_wrapped_before(method: str, tmp_path: Path) -> None:
    wrap = """
        import multiprocessing.spawn, multiprocessing.util
        called = set()

        def wrapped(function):
            def wrapper(*args, **kwargs):
                called.add(function.__name__)
                return function(*args, **kwargs)
            return wrapper

        for module, name in (
            (multiprocessing.spawn, "get_preparation_data"),
            (multiprocessing.util, "spawnv_passfds"),
        ):
            setattr(module, name, wrapped(getattr(module, name)))
    """
    before = textwrap.indent(textwrap.dedent(wrap), "        ").strip()
    printed = run(tmp_path, PROGRAM.format(before=before, after="") + SHOW_CALLED, method)
    called = {"fork": 0, "spawn": 2, "forkserver": 2}[method]
    assert printed == f"True True\n{called}\n"


def test_a_method_that_a_library_replaced_before() -> None:
    """joblib's loky does so, with a function that uses names of its own module."""
    code = """
import multiprocessing.synchronize as synchronize, os

def _make_name():
    assert synchronize.SemLock
    return f"/library-{os.getpid()}"

early = synchronize.Lock
synchronize.SemLock._make_name = staticmethod(_make_name)
import millpond, multiprocessing
millpond.install()
lock = early(ctx=multiprocessing.get_context("fork"))
print(lock.acquire(), lock.acquire(False), synchronize.Lock is early)
"""
    done = run_program([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("True False False\n", "")


POOL_OF_A_MANAGER = """
    import os, sys

    if __name__ == "__main__":
        {before}
        import millpond
        millpond.install()
        import multiprocessing
        multiprocessing.set_start_method(sys.argv[1])
        with multiprocessing.Manager() as manager:
            pool = manager.Pool(1)
            # A zygote of millpond's is between the manager's process and the worker.
            print(pool.apply(os.getppid) == manager._process.pid)
            pool.terminate()
    """


# Workers of forkserver are children of a server in any case.
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("before", ["", "import multiprocessing.managers"])
def test_pool_of_a_manager(before: str, method: str, tmp_path: Path) -> None:
    printed = run(tmp_path, POOL_OF_A_MANAGER.format(before=before), method)
    assert printed == f"{bool(before)}\n"


LOADED = "import sys; print('millpond' in sys.modules)"


def test_subprocesses(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLPOND_INSTALL", raising=False)
    millpond.install()
    assert "MILLPOND_INSTALL" not in os.environ
    millpond.install(subprocesses=True)
    assert os.environ["MILLPOND_INSTALL"] == "1"
    code = "import millpond; print(millpond.is_installed())"
    assert run_program([sys.executable, "-c", code]).stdout == "True\n"
    assert run_program([sys.executable, "-S", "-c", LOADED]).stdout == "False\n"
    bare = {"PATH": os.environ["PATH"]}
    assert run_program([sys.executable, "-c", LOADED], env=bare).stdout == "False\n"
    millpond.uninstall()
    assert "MILLPOND_INSTALL" not in os.environ
    assert run_program([sys.executable, "-c", code]).stdout == "False\n"


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="millpond is in this interpreter's own")
def test_a_subprocess_that_has_millpond_on_its_path_only() -> None:
    path = os.path.dirname(os.path.dirname(millpond.__file__))
    environment = os.environ | {"MILLPOND_INSTALL": "1", "PYTHONPATH": path}
    code = LOADED + "; import millpond; print(millpond.is_installed())"
    done = run_program([sys._base_executable, "-c", code], env=environment)  # type: ignore[attr-defined]
    assert (done.stdout, done.stderr) == ("False\nFalse\n", "")


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, millpond; millpond.install();"
        "print(sorted(name for name in sys.modules if name.startswith('multiprocessing')));"
        "import multiprocessing.pool;"
        "print('millpond.pool' in sys.modules, 'millpond._engine' in sys.modules,"
        " 'millpond.sharedctypes' in sys.modules)"
    )
    done = run_program([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("[]\nTrue True False\n", "")


def test_imported_modules_keep_their_loaders() -> None:
    code = (
        "import inspect, multiprocessing.pool as m;"
        "print(type(m.__loader__), m.__loader__ is m.__spec__.loader, m.__spec__.origin,"
        " len(inspect.getsource(m)), sorted(vars(m)))"
    )
    plain = run_program([sys.executable, "-c", code])
    done = run_program([sys.executable, "-c", "import millpond; millpond.install();" + code])
    assert done.stdout.splitlines() == plain.stdout.splitlines()


USE_AGAIN = """
import millpond, sys
if sys.argv[1] == "before":
    millpond.install()
import concurrent.futures.process
import multiprocessing.connection, multiprocessing.heap, multiprocessing.pool
import multiprocessing.queues, multiprocessing.sharedctypes, multiprocessing.synchronize
if sys.argv[1] == "after":
    millpond.install()

def read():
    return [
        multiprocessing.connection.Pipe, multiprocessing.connection.wait,
        multiprocessing.heap.BufferWrapper,
        multiprocessing.pool.Pool,
        multiprocessing.queues.Queue, multiprocessing.queues.JoinableQueue,
        multiprocessing.queues.SimpleQueue,
        multiprocessing.sharedctypes.Value, multiprocessing.sharedctypes.RawArray,
        multiprocessing.sharedctypes.Synchronized,
        multiprocessing.synchronize.Barrier, multiprocessing.synchronize.BoundedSemaphore,
        multiprocessing.synchronize.Condition, multiprocessing.synchronize.Event,
        multiprocessing.synchronize.Lock, multiprocessing.synchronize.RLock,
        multiprocessing.synchronize.Semaphore, multiprocessing.synchronize.SemLock,
    ]

def is_ours(thing):
    parts = [thing, getattr(thing, "__wrapped__", None), *getattr(thing, "__mro__", ())]
    return any(getattr(part, "__module__", "").startswith("millpond.") for part in parts)

first = read()
print(all(map(is_ours, first)), all(read() == first for _ in range(200)))
millpond.uninstall()
print(any(map(is_ours, read())), any(read() == first for _ in range(200)))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_line_that_is_executed_again_has_the_same_names(when: str) -> None:
    """CPython 3.14 specialises it, and then looks into the module itself (gh-156399)."""
    done = run_program([sys.executable, "-c", USE_AGAIN, when])
    assert (done.stdout, done.stderr) == ("True True\nFalse False\n", "")


PROGRAM = """
    import multiprocessing, sys

    def show():
        from multiprocessing.pool import Pool
        import millpond
        print(millpond.is_installed(), issubclass(Pool, millpond.pool.Pool), flush=True)

    if __name__ == "__main__":
        {before}
        import millpond
        millpond.install()
        {after}
        process = multiprocessing.get_context(sys.argv[1]).Process(target=show)
        process.start()
        process.join()
    """


SHOW_CALLED = """
        print(len(called))
    """


@pytest.mark.parametrize("method", METHODS)
def test_children_follow(method: str, tmp_path: Path) -> None:
    assert run(tmp_path, PROGRAM.format(before="", after=""), method) == "True True\n"


@pytest.mark.parametrize("method", METHODS)
def test_children_do_not_follow_after_uninstall(method: str, tmp_path: Path) -> None:
    program = PROGRAM.format(before="", after="millpond.uninstall()")
    assert run(tmp_path, program, method) == "False False\n"


def test_children_of_a_fork_server_that_ran_before(tmp_path: Path) -> None:
    program = PROGRAM.format(
        before="import multiprocessing.forkserver as f; f.ensure_running()", after=""
    )
    assert run(tmp_path, program, "forkserver") == "True True\n"


OF_A_SERVER_WITH_MILLPOND = """
    import multiprocessing

    def show(lock, queue):
        import sys
        millpond = sys.modules.get("millpond")
        with lock:
            queue.put(millpond is not None and millpond.is_installed())

    if __name__ == "__main__":
        import millpond
        context = multiprocessing.get_context("forkserver")
        for change in (millpond.install, millpond.uninstall, millpond.install):
            change()
            lock, queue = context.Lock(), context.Queue()
            process = context.Process(target=show, args=(lock, queue))
            process.start()
            print(queue.get(), isinstance(lock, millpond.synchronize.Lock))
            process.join()
    """


def test_children_of_one_fork_server_are_as_their_parent_is(tmp_path: Path) -> None:
    printed = run(tmp_path, OF_A_SERVER_WITH_MILLPOND)
    assert printed == "True True\nFalse False\nTrue True\n"


PRELOADED = """
    import multiprocessing, os, sys
    from multiprocessing.pool import Pool
    from multiprocessing.queues import Queue
    import library

    def show():
        import millpond
        ours = millpond.pool.Pool, millpond.queues.Queue
        print(issubclass(Pool, ours), issubclass(Queue, ours), library.pid != os.getpid(),
              issubclass(library.Pool, ours), issubclass(library.Queue, ours), flush=True)

    if __name__ == "__main__":
        import millpond
        millpond.install()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", "library"])
        process = context.Process(target=show)
        process.start()
        process.join()
    """


def test_modules_that_the_fork_server_preloads(tmp_path: Path) -> None:
    """It imports `__main__` as well, if it is of a release that does, and before the others."""
    (tmp_path / "library.py").write_text(
        "import os\nfrom multiprocessing.pool import Pool\n"
        "from multiprocessing.queues import Queue\npid = os.getpid()\n"
    )
    assert run(tmp_path, PRELOADED) == "True True True True True\n"


@pytest.mark.parametrize("method", METHODS)
def test_children_get_the_parent_s_millpond(method: str, tmp_path: Path) -> None:
    """Not one that happens to lie where the child looks first."""
    (tmp_path / "elsewhere" / "millpond").mkdir(parents=True)
    (tmp_path / "elsewhere" / "millpond" / "__init__.py").write_text("raise ImportError('wrong')")
    after = f"import os; os.chdir({str(tmp_path / 'elsewhere')!r})"
    assert run(tmp_path, PROGRAM.format(before="", after=after), method) == "True True\n"


@pytest.mark.parametrize("method", METHODS)
def test_children_find_millpond_where_only_the_parent_knew(method: str, tmp_path: Path) -> None:
    """The child starts without the directory in its path, and without the .pth file."""
    root = os.path.dirname(os.path.dirname(millpond.__file__))
    program = PROGRAM.format(before=f"sys.path.append({root!r})", after="")
    assert run(tmp_path, program, method, options=("-I", "-S")) == "True True\n"


def test_notebook() -> None:
    """No file, no spec: code that was typed in."""
    code = (
        "import millpond; millpond.install()\n"
        "from multiprocessing import Pool\n"
        "with Pool(2) as pool: print(pool, pool.map(abs, [-1, 2]))\n\n"
    )
    done = run_program([sys.executable, "-i", "-c", "pass"], input=code)
    assert "<multiprocessing.pool.Pool state=RUN pool_size=2> [1, 2]\n" in done.stdout


def test_engine_that_is_missing() -> None:
    code = (
        "import sys; sys.modules['millpond._engine'] = None\n"
        "import millpond; millpond.install()\n"
        "import multiprocessing\n"
        "for use in ('multiprocessing.Pool(1)', 'from multiprocessing.pool import Pool',\n"
        "            'multiprocessing.Pipe()', 'millpond.Pool(1)', 'millpond.cpu_count()'):\n"
        "    try:\n"
        "        exec(use)\n"
        "    except ImportError as error:\n"
        "        print(error.name, error)\n"
    )
    done = run_program([sys.executable, "-c", code])
    message = (
        "millpond._engine millpond's compiled engine (millpond._engine) is missing: install a "
        "wheel with `pip install millpond`, or build the engine in a checkout with "
        "`cargo xtask setup`\n"
    )
    assert (done.stdout, done.stderr) == (message * 5, "")


def test_engine_that_is_for_builds_with_a_gil() -> None:
    # A free-threaded interpreter does not look at `_engine.abi3.so`.
    code = (
        "import sys, sysconfig; sys.modules['millpond._engine'] = None\n"
        "sysconfig.get_config_var = {'Py_GIL_DISABLED': 1}.get\n"
        "import millpond\n"
        "try:\n"
        "    millpond.Pool(1)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = run_program([sys.executable, "-c", code])
    message = (
        "millpond's compiled engine (millpond._engine) is missing: this is a free-threaded build "
        "of Python, which needs the wheel cp315-abi3.abi3t of millpond, and CPython 3.15 or newer\n"
    )
    assert (done.stdout, done.stderr) == (message, "")


def test_engine_of_another_version() -> None:
    code = (
        "import sys, types; engine = types.ModuleType('millpond._engine')\n"
        "engine.__version__ = '0.0.9'; engine.__file__ = 'somewhere/_engine.so'\n"
        "sys.modules['millpond._engine'] = engine\n"
        "import millpond\n"
        "try:\n"
        "    millpond.Pool(1)\n"
        "except ImportError as error:\n"
        "    print(error.path, error)\n"
    )
    done = run_program([sys.executable, "-c", code])
    assert done.stderr == ""
    assert done.stdout == (
        f"somewhere/_engine.so millpond {millpond.__version__} found an engine of version 0.0.9: "
        "two installations are mixed; uninstall millpond and install it again\n"
    )


def test_a_module_that_is_imported_again() -> None:
    code = (
        "import importlib, sys, millpond; millpond.install()\n"
        "import multiprocessing.pool\n"
        "for _ in range(2):\n"
        "    importlib.reload(multiprocessing.pool)\n"
        "    print(issubclass(multiprocessing.pool.Pool, millpond.pool.Pool))\n"
        "for name in [n for n in sys.modules if n.startswith('multiprocessing.pool')]:\n"
        "    del sys.modules[name]\n"
        "from multiprocessing.pool import Pool\n"
        "print(issubclass(Pool, millpond.pool.Pool))\n"
        "millpond.uninstall()\n"
        "print(issubclass(sys.modules['multiprocessing.pool'].Pool, millpond.pool.Pool))\n"
    )
    done = run_program([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("True\nTrue\nTrue\nFalse\n", "")


def test_finders_of_all_kinds_beside_the_hook() -> None:
    code = (
        "import importlib.util, sys, millpond\n"
        "class Old:\n"
        "    def find_module(self, *_): pass  # All that finders had before Python 3.4.\n"
        "class All:\n"
        "    def __init__(self, others): self.others = others\n"
        "    def find_spec(self, *arguments):\n"
        "        found = (each.find_spec(*arguments) for each in self.others)\n"
        "        return next((spec for spec in found if spec is not None), None)\n"
        "millpond.install()\n"
        "sys.meta_path[:] = [Old(), All(sys.meta_path[:])]\n"
        "spec = importlib.util.find_spec('multiprocessing.pool')\n"
        "print(len(spec.loader.get_source('multiprocessing.pool')) > 1000)\n"
        "import multiprocessing.pool\n"
        "print(issubclass(multiprocessing.pool.Pool, millpond.pool.Pool))\n"
    )
    done = run_program([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("True\nTrue\n", "")
