"""A script under `python -m millpond` prints, fails and exits as under plain `python`."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from support.program import Completed, run_program

SCRIPTS: dict[str, str | bytes] = {
    "empty": "",
    "no_newline_at_the_end": "print('hello')",
    "docstring_and_annotations": '"""What it does."""\nx: int = 1\nprint(__doc__, __annotations__)',
    "namespace": """
        hidden = ("__builtins__", "__loader__", "__spec__")
        print({name: value for name, value in globals().items() if name not in hidden})
        print(__spec__, type(__loader__), type(__builtins__))
        """,
    "main_module": """
        import sys, __main__
        print(__main__ is sys.modules["__main__"], vars(__main__) is globals(), __main__)
        """,
    "arguments_and_path": "import sys; print(sys.argv, sys.path)",
    "loader_reads_the_source": "print(__loader__.name, __loader__.get_source('__main__'))",
    "standard_input": "print(input() + '|' + input())",
    "latin_1": b"# coding: latin-1\nprint(ascii('caf\xe9'))\n",
    "utf_8_with_a_mark": b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n",
    "windows_lines": b"print(1)\r\nprint(2)\r\n1/0\r\n",
    "future_statements_stay_out": "x: no_such_name = 1",
    # Errors
    "exception": """
        def divide(x):
            return 1 / x
        divide(0)
        """,
    "exception_chain": """
        try:
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("no such key") from error
        except ValueError:
            raise RuntimeError("in the handler")
        """,
    "exception_group": """
        def fail(error):
            raise error
        errors = []
        for error in (ValueError(1), ExceptionGroup("inner", [TypeError(2)])):
            try:
                fail(error)
            except Exception as caught:
                errors.append(caught)
        raise ExceptionGroup("outer", errors)
        """,
    "exception_with_notes": """
        error = OSError(2, "gone", "somewhere")
        error.add_note("look elsewhere")
        raise error
        """,
    "exception_shown_by_hand": """
        import traceback
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        """,
    "exception_in_a_thread": """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        """,
    "exception_while_importing": "import broken",
    "syntax_error": "print(1)\nx = = 2\n",
    "syntax_error_in_the_last_line": "if True:",
    "tabs_and_spaces": "if 1:\n        x = 1\n\tx = 2\n",
    "bad_utf_8_in_a_comment": b"x = 1  # caf\xe9\nprint(x)\n",
    "null_byte": b"x = 1\n\0\n",
    "unknown_encoding": "# coding: no-such-encoding\n",
    "syntax_warning": "print(1 is 1)",
    "warnings": """
        import warnings
        warnings.warn("take care")
        warnings.warn("this goes away", DeprecationWarning)
        """,
    # Ends
    "exit_none": "raise SystemExit",
    "exit_number": "import sys; sys.exit(7)",
    "exit_big_number": "import sys; sys.exit(256 + 9)",
    "exit_negative": "import sys; sys.exit(-1)",
    "exit_message": "import sys; sys.exit('that was it')",
    "exit_object": "raise SystemExit(('a', 'tuple'))",
    "exit_in_finally": "try:\n    1 / 0\nfinally:\n    raise SystemExit(4)",
    "exit_at_once": "import os; os._exit(5)",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "keyboard_interrupt_with_text": "raise KeyboardInterrupt('enough')",
    "interrupted": """
        import os, signal
        def work():
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        work()
        """,
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "atexit_order": """
        import atexit
        for number in range(3):
            atexit.register(print, "handler", number)
        print("end")
        """,
    "atexit_after_the_end": """
        import atexit
        atexit.register(lambda: print("__file__" in globals(), "__cached__" in globals()))
        """,
    "atexit_after_exit": """
        import atexit, sys
        atexit.register(lambda: print("__file__" in globals(), "__cached__" in globals()))
        sys.exit(3)
        """,
    "atexit_after_an_exception": """
        import atexit
        atexit.register(lambda: print("__file__" in globals(), "__cached__" in globals()))
        1 / 0
        """,
    "thread_outlives_the_main_one": """
        import threading, time
        def late():
            threading.main_thread().join()
            print("late", __name__, sorted(k for k in globals() if not k.startswith("_")))
        threading.Thread(target=late).start()
        print("main ends")
        """,
    "globals_are_collected": """
        class Noisy:
            def __init__(self, name):
                self.name = name
            def __del__(self):
                print("bye", self.name, flush=True)
        first, second = Noisy("first"), Noisy("second")
        """,
    "globals_are_collected_after_an_exception": """
        class Noisy:
            def __del__(self):
                print("bye", flush=True)
        noisy = Noisy()
        1 / 0
        """,
    "generator_left_open": """
        def count():
            try:
                yield 1
            finally:
                print("closed")
        numbers = count()
        print(next(numbers))
        """,
    # sys.excepthook
    "own_excepthook": """
        import sys, traceback
        def hook(kind, error, trace):
            print("hook", kind, error, error.__traceback__ is trace, sys.excepthook is hook)
            print(traceback.extract_tb(trace).format())
        sys.excepthook = hook
        1 / 0
        """,
    "excepthook_that_fails": """
        import sys
        def hook(kind, error, trace):
            raise RuntimeError("hook")
        sys.excepthook = hook
        1 / 0
        """,
    "excepthook_that_exits": """
        import sys
        sys.excepthook = lambda *args: sys.exit(9)
        1 / 0
        """,
    "excepthook_deleted": "import sys; del sys.excepthook; 1 / 0",
    "last_exception": """
        import atexit, sys, traceback
        atexit.register(lambda: print(sys.last_value, traceback.extract_tb(sys.last_traceback)))
        1 / 0
        """,
    # What looks into the program
    "source_of_functions": """
        import inspect
        def shown():
            return "source"
        class Shown:
            answer = 42
        print(inspect.getsource(shown), inspect.getsource(Shown), inspect.getmodule(shown))
        """,
    "pickles": """
        import pickle
        class Point:
            pass
        print(pickle.dumps(Point()), type(pickle.loads(pickle.dumps(Point()))) is Point)
        """,
    "dataclasses": """
        from __future__ import annotations
        import dataclasses, typing
        @dataclasses.dataclass
        class Pair:
            left: int
            right: typing.ClassVar[int] = 2
        print(Pair(1), len(dataclasses.fields(Pair)), typing.get_type_hints(Pair))
        """,
    "doctests": """
        def double(x):
            '''
            >>> double(2)
            5
            '''
            return 2 * x
        import doctest
        print(doctest.testmod())
        """,
    "unit_tests": """
        import io, unittest
        class Sums(unittest.TestCase):
            def test_sum(self):
                self.assertEqual(1 + 1, 3)
        out = io.StringIO()
        unittest.main(exit=False, argv=["tests"], testRunner=unittest.TextTestRunner(out))
        print(out.getvalue().partition("Ran")[0])
        """,
    "argument_parser": """
        import argparse
        argparse.ArgumentParser().parse_args(["--nonsense"])
        """,
    "debugger": "import pdb; pdb.set_trace()\nx = 1\nprint(x)\n",
    "asyncio": """
        import asyncio
        async def main():
            await asyncio.sleep(0)
            raise LookupError("in a task")
        asyncio.run(main())
        """,
    "fork": """
        import os, sys
        pid = os.fork()
        if not pid:
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
    "runs_itself_again": """
        import os, sys
        if len(sys.argv) < 4:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
        print(sys.argv)
        """,
    "preparation_of_children": """
        import multiprocessing.spawn
        data = multiprocessing.spawn.get_preparation_data("child")
        print({name: data.get(name) for name in data if name.startswith(("init", "sys", "dir"))})
        """,
}


def plain_and_millpond(
    arguments: list[str], cwd: Path, *, options: tuple[str, ...] = ()
) -> tuple[Completed, Completed]:
    """Run `python arguments` and `python -m millpond arguments`."""

    def run(*prefix: str) -> Completed:
        # The pdb prompt and input() read these lines; whatever else does not care.
        return run_program([sys.executable, *options, *prefix, *arguments], cwd=cwd, input="n\nc\n")

    return run(), run("-m", "millpond")


def assert_same(plain: Completed, millpond: Completed) -> None:
    assert millpond.stdout == plain.stdout
    assert millpond.stderr == plain.stderr
    assert millpond.returncode == plain.returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "broken.py").write_text("def f():\n    1 / 0\nf()\n")
    return tmp_path


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, folder: Path) -> None:
    source = SCRIPTS[name]
    if isinstance(source, str):
        source = textwrap.dedent(source).encode()
    (folder / "script.py").write_bytes(source)
    assert_same(*plain_and_millpond(["script.py", "an", "argument"], folder))


@pytest.mark.parametrize(
    "options", [("-O",), ("-I",), ("-P",), ("-Werror",), ("-X", "dev"), ("-u",)]
)
def test_options_of_the_interpreter(options: tuple[str, ...], folder: Path) -> None:
    (folder / "script.py").write_text(
        "import sys, warnings\n"
        "print(sys.flags, sys.warnoptions, sys._xoptions, sys.path, __debug__)\n"
        "warnings.warn('careful')\n"
    )
    assert_same(*plain_and_millpond(["script.py"], folder, options=options))
