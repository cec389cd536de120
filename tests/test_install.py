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
STDLIB_POOL = vars(multiprocessing.pool)["Pool"]
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


def test_subprocesses(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLPOND_INSTALL", raising=False)
    millpond.install()
    assert "MILLPOND_INSTALL" not in os.environ
    millpond.install(subprocesses=True)
    assert os.environ["MILLPOND_INSTALL"] == "1"
    code = "import millpond; print(millpond.is_installed())"
    assert run_program([sys.executable, "-c", code]).stdout == "True\n"
    millpond.uninstall()
    assert "MILLPOND_INSTALL" not in os.environ
    assert run_program([sys.executable, "-c", code]).stdout == "False\n"


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, millpond; millpond.install();"
        "print(sorted(name for name in sys.modules if name.startswith('multiprocessing')));"
        "import multiprocessing.pool;"
        "print('millpond.pool' in sys.modules, 'millpond._engine' in sys.modules,"
        " 'multiprocessing.spawn' in sys.modules);"
        "multiprocessing.pool.Pool; print('millpond.pool' in sys.modules)"
    )
    done = run_program([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("[]\nFalse False False\nTrue\n", "")


def test_imported_modules_keep_their_loaders() -> None:
    code = (
        "import millpond; millpond.install(); import inspect, multiprocessing.pool as m;"
        "print(type(m.__loader__), m.__loader__ is m.__spec__.loader, m.__file__ is not None,"
        " m.__cached__ is not None, len(inspect.getsource(m)) > 1000)"
    )
    done = run_program([sys.executable, "-c", code])
    assert done.stdout == (
        "<class '_frozen_importlib_external.SourceFileLoader'> True True True True\n"
    )


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
        "import multiprocessing.pool\n"
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
        "`maturin develop`\n"
    )
    assert (done.stdout, done.stderr) == (message * 5, "")


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
