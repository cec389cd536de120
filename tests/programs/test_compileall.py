"""`python -m compileall -j 2` over a part of the standard library."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from both import run_both

PACKAGES = ["asyncio", "concurrent", "email", "json", "logging", "multiprocessing", "unittest"]


def make(folder: Path) -> None:
    stdlib = Path(sysconfig.get_path("stdlib"))
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "test", "tests")
        shutil.copytree(stdlib / name, folder / name, ignore=ignored)
    (folder / "broken.py").write_text("x = = 1\n")


def compiled(folder: Path) -> dict[str, bytes]:
    """Byte code without the times of its sources."""
    files = sorted(folder.rglob("*.pyc"))
    return {str(file.relative_to(folder)): file.read_bytes()[16:] for file in files}


def test_compileall(tmp_path: Path) -> None:
    arguments = ["-m", "compileall", "-q", "-j", "2", "-s", os.curdir, os.curdir]
    both = run_both(tmp_path, make, arguments, notes=False)
    assert both.returncode == 1
    assert "SyntaxError" in both.stdout
    assert len(compiled(both.plain)) > 100
    assert compiled(both.millpond) == compiled(both.plain)
