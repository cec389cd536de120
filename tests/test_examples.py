"""Every program of examples/python runs on the stdlib, under `python -m millpond` as it is,
and with millpond in its import line; all ways print the same."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.program import Completed, run_program

EXAMPLES = Path(__file__).parents[1] / "examples" / "python"

# What a program must print; `module` is the name that its `multiprocessing` goes by.
Expectation = Callable[[str, str], None]


def exactly(expected: str) -> Expectation:
    def check(output: str, module: str) -> None:
        assert output == expected.replace("{module}", module)

    return check


def lines_in_any_order(*expected: str) -> Expectation:
    def check(output: str, module: str) -> None:
        assert sorted(output.splitlines()) == sorted(expected)

    return check


def matching(pattern: str) -> Expectation:
    def check(output: str, module: str) -> None:
        assert re.fullmatch(pattern, output), output

    return check


def poems(output: str, module: str) -> None:
    """Three blocks of three lines, none broken by a line of another."""
    lines = output.splitlines()
    poets = [line.partition(",")[0] for line in lines[::3]]
    assert sorted(poets) == ["Homer", "Sappho", "Virgil"]
    assert lines == [f"{poet}, line {line}" for poet in poets for line in (1, 2, 3)]


@dataclass(frozen=True)
class Example:
    expect: Expectation
    fork_only: str = ""  # the reason, if there is one
    millpond_only: bool = False  # it shows what the standard library cannot do


PROGRAMS = {
    "process_id": Example(
        matching(r"I am Process-1 and my pid is (\d+)\nThe parent started pid \1\n")
    ),
    "greet_by_name": Example(
        lines_in_any_order(
            "Hello, Ada!", "Hello, Grace!", "Hello, Alan!", "Everybody has been greeted"
        )
    ),
    "print_different_numbers": Example(
        lines_in_any_order(*(f"My number is {number}" for number in (3, 14, 15, 92)))
    ),
    "read_inherited_list": Example(
        lines_in_any_order("The sum is 56", "The dearest costs 31"),
        fork_only="the list is inherited by fork",
    ),
    "send_through_pipe": Example(exactly("['bread', 'milk', 2, None, {'apples': 6}]\n")),
    "queue_even_numbers": Example(exactly("".join(f"{n}\n" for n in range(0, 20, 2)))),
    "join_before_get": Example(exactly(f"{[499999500000] * 4}\n")),
    "pool_map_in_order": Example(
        exactly(
            f"squares: {[n * n for n in range(10)]}\n"
            f"cubes:   {[n * n * n for n in range(10)]}\n"
            f"doubles: {[n + n for n in range(10)]}\n"
        )
    ),
    "pool_of_cpu_count": Example(
        matching(r"[1-9]\d* processors counted 35 letters in 9 words\n"),
    ),
    "pool_repr": Example(
        exactly(
            "<{module}.pool.Pool state=RUN pool_size=60>\n"
            "<{module}.pool.Pool state=CLOSE pool_size=60>\n"
        ),
        fork_only="it would start sixty interpreters",
    ),
    "apply_async_with_timeout": Example(exactly("144\nnot ready after a second\n")),
    "apply_async_many": Example(exactly(f"{[n * n for n in range(25)]}\n")),
    "pool_never_closed": Example(exactly("['TIDY!', 'ANYWAY!']\n")),
    "alive_before_and_after_join": Example(
        exactly("before start: False\nbefore join:  True\nafter join:   False with exit code 0\n")
    ),
    "name_children": Example(
        lines_in_any_order("Child 1 at work", "Child 2 at work", "Child 1 joined", "Child 2 joined")
    ),
    "list_active_children": Example(exactly("at work: ['Dewey', 'Huey', 'Louie']\nat work: []\n")),
    "print_under_lock": Example(poems),
    "survive_the_owner": Example(
        exactly(
            "signal 9 while it held the lock; the account has 400\n"
            "the lock works, and the account has 500\n"
        ),
        millpond_only=True,
    ),
    "threads_share_list": Example(
        exactly("4000 changes by two threads of MainProcess; left over: []\n"),
        fork_only="it starts no process",
    ),
    "threads_or_processes": Example(
        matching(
            r"4 jobs +in turn +threads +processes\n"
            r"I/O-bound( +\d+\.\d\d s){3}\n"
            r"CPU-bound( +\d+\.\d\d s){3}\n"
            r"\n"
            r"I/O-bound: (threads|processes|in turn) came first\.\n"
            r"CPU-bound: (threads|processes|in turn) came first\.\n"
            r"Threads are cheap .*\n"
        )
    ),
}

# What imports millpond itself, for what the stdlib does not have.
OURS = {
    "executor_dead_worker": Example(
        exactly(
            "no square of 13: FutureCrashed, SIGKILL\n"
            "19 squares, the largest is 361\n"
            "and on it goes: 441\n"
        )
    ),
}


def run(*argv: str | Path) -> Completed:
    # Unbuffered output would let lines that several processes print at once run into each other.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return run_program([sys.executable, *argv], env=environment)


def check(name: str, module: str, done: Completed) -> None:
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    (PROGRAMS | OURS)[name].expect(done.stdout, module)


def with_millpond_imported(source: str) -> str:
    """The program with nothing changed but its import lines."""
    changed, number = re.subn(
        r"^import multiprocessing$", "import millpond as multiprocessing", source, flags=re.M
    )
    changed, more = re.subn(
        r"^from multiprocessing import ", "from millpond import ", changed, flags=re.M
    )
    assert number + more == 1, "one import line is to be changed"
    return changed


BOTH = [name for name in PROGRAMS if not PROGRAMS[name].millpond_only]


@pytest.mark.parametrize("name", BOTH)
def test_on_the_stdlib(name: str) -> None:
    check(name, "multiprocessing", run(EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_unmodified_under_millpond(name: str) -> None:
    check(name, "multiprocessing", run("-m", "millpond", EXAMPLES / f"{name}.py"))


@pytest.mark.parametrize("name", BOTH)
def test_with_millpond_imported(name: str, tmp_path: Path) -> None:
    program = tmp_path / f"{name}.py"
    program.write_text(with_millpond_imported((EXAMPLES / f"{name}.py").read_text()))
    check(name, "millpond", run(program))


@pytest.mark.parametrize("name", [name for name in PROGRAMS if not PROGRAMS[name].fork_only])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_under_another_start_method(name: str, method: str) -> None:
    done = run("-m", "millpond", "--start-method", method, EXAMPLES / f"{name}.py")
    check(name, "multiprocessing", done)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_of_millpond_s_own_names(name: str, method: str) -> None:
    check(
        name, "millpond", run("-m", "millpond", "--start-method", method, EXAMPLES / f"{name}.py")
    )


@pytest.mark.parametrize("name", OURS)
def test_of_millpond_s_own_names_under_plain_python(name: str) -> None:
    check(name, "millpond", run(EXAMPLES / f"{name}.py"))


def test_every_example_is_checked_and_listed() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py")}
    listed = re.findall(r"\[(\w+)\.py\]\(\1\.py\)", (EXAMPLES / "README.md").read_text())
    assert programs == set(PROGRAMS | OURS)
    assert sorted(listed) == sorted(PROGRAMS | OURS)
