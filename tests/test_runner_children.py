"""Under `python -m millpond` every process of the tree has millpond for its multiprocessing."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest
from support.program import Completed, run_program

METHODS = ["fork", "spawn", "forkserver"]

# A module that takes its pool in every way there is, and tells whose it got.
LIBRARY = """\
import multiprocessing
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolClass
from multiprocessing.pool import ThreadPool

def report():
    import millpond
    ours = millpond.pool.Pool
    yes = (
        millpond.is_installed(),
        issubclass(PoolClass, ours),
        issubclass(multiprocessing.pool.Pool, ours),
    )
    assert not issubclass(ThreadPool, ours)
    assert repr(PoolClass) == "<class 'multiprocessing.pool.Pool'>"
    return "millpond" if all(yes) else "stdlib" if not any(yes) else f"both: {yes}"

def show(who):
    print(who, multiprocessing.get_start_method(), report(), flush=True)

def start(method, *args):
    process = multiprocessing.get_context(method).Process(target=show, args=args)
    process.start()
    process.join()

def start_again(method):
    show("child")
    start(method, "grandchild")

def square(x):
    return x * x
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "library.py").write_text(LIBRARY)
    # For interpreters that leave out the program's own directory.
    append = f"import sys; sys.path.append({str(tmp_path)!r})"
    (tmp_path / "child.py").write_text(f"{append}\nfrom library import report\nprint(report())\n")
    return tmp_path


def millpond(
    folder: Path,
    body: str,
    *arguments: str,
    options: tuple[str, ...] = (),
    head: str = "import multiprocessing, subprocess, sys\nfrom library import *\n",
) -> str:
    """Run a program whose first process executes `body`; return what the whole tree printed."""
    body = textwrap.indent(textwrap.dedent(body), "    ")
    (folder / "program.py").write_text(f"{head}\nif __name__ == '__main__':\n{body}")
    command = [sys.executable, "-m", "millpond", *options, "program.py", *arguments]
    return output(run_program(command, cwd=folder))


def output(done: Completed) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.mark.parametrize("method", METHODS)
def test_processes(method: str, folder: Path) -> None:
    body = """
        multiprocessing.set_start_method(sys.argv[1])
        process = multiprocessing.Process(target=start_again, args=(sys.argv[1],))
        process.start()
        process.join()
        """
    expected = f"child {method} millpond\ngrandchild {method} millpond\n"
    assert millpond(folder, body, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_start_method_of_the_command_line(method: str, folder: Path) -> None:
    body = "start_again(None)"
    expected = f"child {method} millpond\ngrandchild {method} millpond\n"
    assert millpond(folder, body, options=("--start-method", method)) == expected


@pytest.mark.parametrize(
    "pool",
    [
        "Pool(2)",
        "PoolClass(2)",
        "multiprocessing.Pool(2)",
        "multiprocessing.pool.Pool(2)",
        "multiprocessing.get_context().Pool(2)",
        "multiprocessing.pool.Pool(2, context=multiprocessing.get_context())",
    ],
)
def test_every_way_to_a_pool(pool: str, folder: Path) -> None:
    body = f"""
        with {pool} as pool:
            print(pool, isinstance(pool, multiprocessing.pool.Pool), isinstance(pool, PoolClass))
        """
    expected = "<multiprocessing.pool.Pool state=RUN pool_size=2> True True\n"
    assert millpond(folder, body) == expected


@pytest.mark.parametrize("method", METHODS)
def test_pool(method: str, folder: Path) -> None:
    body = """
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            print(pool)
            print(pool.map(square, range(5)), pool.apply(report))
        """
    expected = "<multiprocessing.pool.Pool state=RUN pool_size=2>\n[0, 1, 4, 9, 16] millpond\n"
    assert millpond(folder, body, method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_process_pool_executor(method: str, folder: Path) -> None:
    body = """
        from concurrent.futures import ProcessPoolExecutor
        context = multiprocessing.get_context(sys.argv[1])
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            print(executor.submit(report).result())
        """
    assert millpond(folder, body, method) == "millpond\n"


@pytest.mark.parametrize("method", METHODS)
def test_manager(method: str, folder: Path) -> None:
    (folder / "serving.py").write_text(
        "from multiprocessing.managers import BaseManager\n"
        "import library\n"
        "class Manager(BaseManager):\n"
        "    pass\n"
        "Manager.register('show', callable=library.show)\n"
    )
    body = """
        from serving import Manager
        with Manager(ctx=multiprocessing.get_context(sys.argv[1])) as manager:
            manager.show("server")
        """
    assert millpond(folder, body, method) == f"server {method} millpond\n"


def test_thread_pool(folder: Path) -> None:
    body = """
        with ThreadPool(2) as pool:
            print(pool, pool.map(square, range(3)))
        """
    expected = "<multiprocessing.pool.ThreadPool state=RUN pool_size=2> [0, 1, 4]\n"
    assert millpond(folder, body) == expected


def test_modules_that_the_fork_server_preloads(folder: Path) -> None:
    body = """
        multiprocessing.set_forkserver_preload(["library"])
        start("forkserver", "child")
        """
    head = (
        "import multiprocessing\ndef start(*args):\n    from library import start\n    start(*args)"
    )
    assert millpond(folder, body, head=head) == "child forkserver millpond\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "arguments", [["program.py"], ["-m", "program"], ["-c", "{code}"], ["folder"]], ids=" ".join
)
def test_functions_of_main(method: str, arguments: list[str], folder: Path) -> None:
    """Children find what `__main__` defines where children of plain python do.

    And where those do not, for it is in no file, it travels by value.
    """
    code = (
        "import multiprocessing, sys\n"
        "from library import report\n"
        "def work():\n"
        "    print(work.__module__, __name__, report(), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context(sys.argv[1]).Process(target=work)\n"
        "    process.start()\n"
        "    process.join()\n"
        "    print(process.exitcode)\n"
    )
    (folder / "program.py").write_text(code)
    (folder / "folder").mkdir()
    (folder / "folder" / "__main__.py").write_text(code)
    arguments = [code if argument == "{code}" else argument for argument in arguments]
    env = os.environ | {"PYTHONPATH": str(folder)}
    plain = run_program([sys.executable, *arguments, method], cwd=folder, env=env)
    done = run_program([sys.executable, "-m", "millpond", *arguments, method], cwd=folder, env=env)
    expected = plain.stdout.replace("stdlib", "millpond")
    if arguments[0] == "-c" and method != "fork":
        assert expected == "1\n"
        expected = "__main__ __main__ millpond\n0\n"
    assert done.stdout == expected
    assert done.returncode == plain.returncode


@pytest.mark.parametrize("options", [[], ["-E"], ["-I"], ["-X", "dev"]], ids=" ".join)
def test_subprocess(options: list[str], folder: Path) -> None:
    body = """
        subprocess.run([sys.executable, *sys.argv[1:], "child.py"], check=True)
        """
    assert millpond(folder, body, *options) == "millpond\n"


def test_subprocess_without_the_variable(folder: Path) -> None:
    body = """
        import os
        del os.environ["MILLPOND_INSTALL"]
        subprocess.run([sys.executable, "child.py"], check=True)
        """
    assert millpond(folder, body) == "stdlib\n"


@pytest.mark.parametrize("method", METHODS)
def test_program_whose_subprocesses_stay_as_they_are(method: str, folder: Path) -> None:
    body = """
        start_again(None)
        with multiprocessing.Pool(1) as pool:
            print(pool.apply(report), flush=True)
        subprocess.run([sys.executable, "child.py"], check=True)
        """
    options = ("--start-method", method, "--no-subprocesses")
    expected = f"child {method} millpond\ngrandchild {method} millpond\nmillpond\nstdlib\n"
    assert millpond(folder, body, options=options) == expected


def test_subprocess_keeps_its_own_start_method(folder: Path) -> None:
    ask = "import multiprocessing; print(multiprocessing.get_start_method(), flush=True)"
    body = f"""
        {ask}
        subprocess.run([sys.executable, "-c", {ask!r}], check=True)
        """
    plain = run_program([sys.executable, "-c", ask]).stdout
    assert millpond(folder, body, options=("--start-method", "spawn")) == f"spawn\n{plain}"


def test_program_that_replaces_itself(folder: Path) -> None:
    body = """
        import os
        if len(sys.argv) == 1:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
        print(sys.argv[1], report())
        """
    assert millpond(folder, body) == "again millpond\n"
