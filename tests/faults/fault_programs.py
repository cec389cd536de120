"""Starts the programs of `programs/`, which are killed, interrupted or left with a pool."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from support.program import Program, start_program

HERE = Path(__file__).parent


def start_fault_program(name: str, *args: object, options: tuple[str, ...] = ()) -> Program:
    """Start one with arguments of its own; `options` are those of the interpreter."""
    search_path = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search_path))}
    program = HERE / "programs" / f"{name}.py"
    return start_program([sys.executable, *options, program, *map(str, args)], env=environment)
