"""A notebook whose functions live in its cells, executed by nbclient.

Plain `multiprocessing` can run them in children under fork alone; under spawn, where it cannot,
millpond sends them by value.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from both import need
from support.program import run_program

need("nbclient")
need("ipykernel")

RUNNER = """\
import sys
import nbformat
from nbclient import NotebookClient

CELLS = [
    "import multiprocessing, sys\\n"
    "millpond = sys.modules.get('millpond')\\n"
    "print('millpond' if millpond and millpond.is_installed() else 'stdlib')",
    "factor = 3\\n"
    "def times(x):\\n"
    "    return factor * x",
    "with multiprocessing.get_context({method!r}).Pool(2) as pool:\\n"
    "    print(pool.map(times, range(5)), pool.apply(times, (7,)))\\n"
    "    try:\\n"
    "        pool.apply(times, (None,))\\n"
    "    except TypeError as error:\\n"
    "        print(error)",
]

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
NotebookClient(notebook, timeout=40).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        if output.get("name") != "stderr":
            print(output.get("text", output), end="")
"""
VALUES = "[0, 3, 6, 9, 12] 21\nunsupported operand type(s) for *: 'int' and 'NoneType'\n"


def execute(folder: Path, method: str, *prefix: str) -> str:
    (folder / "execute.py").write_text(RUNNER.replace("{method!r}", repr(method)))
    settings = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "run")}
    environment = os.environ | settings | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    done = run_program([sys.executable, *prefix, "execute.py"], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_notebook_under_fork(tmp_path: Path) -> None:
    assert execute(tmp_path, "fork") == "stdlib\n" + VALUES
    assert execute(tmp_path, "fork", "-m", "millpond") == "millpond\n" + VALUES


@pytest.mark.slow
def test_notebook_under_spawn(tmp_path: Path) -> None:
    assert execute(tmp_path, "spawn", "-m", "millpond") == "millpond\n" + VALUES
