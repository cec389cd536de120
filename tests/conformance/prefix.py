"""A private prefix: an installed CPython whose `multiprocessing` is millpond, whatever its options.

Tests start children with `-I`, `-E` or `-S`, which no environment variable and no `.pth` file
reaches. So the swap is part of the interpreter itself: a directory with a copy of its binary, links
to its standard library, and one file that differs, `multiprocessing/__init__.py`, which installs
millpond at its end. Every process of the tree that runs this binary has it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_ASK = """\
import json, sys, sysconfig
print(json.dumps([
    getattr(sys, "_base_executable", sys.executable),
    sysconfig.get_path("stdlib"),
    "%d.%d" % sys.version_info[:2],
    "%d.%d.%d" % sys.version_info[:3],
]))
"""

_INSTALL = """

# What makes this copy of the standard library another one.
import millpond as _millpond
_millpond.install()
"""

PACKAGES = ("millpond", "cloudpickle")


@dataclass(frozen=True)
class Interpreter:
    """An installed CPython."""

    executable: Path
    stdlib: Path
    minor: str
    version: str

    @classmethod
    def ask(cls, executable: str) -> Interpreter:
        """Ask the interpreter (or that of a virtual environment) where it is installed."""
        answer = subprocess.run(
            [executable, "-I", "-c", _ASK], check=True, capture_output=True, text=True
        )
        base, stdlib, minor, version = json.loads(answer.stdout)
        return cls(Path(base), Path(stdlib), minor, version)


def build(interpreter: Interpreter, directory: Path) -> Path:
    """Make the prefix anew, with the packages that this process has; return its interpreter."""
    shutil.rmtree(directory, ignore_errors=True)
    library = directory / "lib" / f"python{interpreter.minor}"
    library.mkdir(parents=True)
    replaced = {"multiprocessing", "site-packages"}
    for entry in interpreter.stdlib.iterdir():
        if entry.name not in replaced:
            (library / entry.name).symlink_to(entry)
    (library / "site-packages").mkdir()
    installed = Path(sysconfig.get_path("purelib"))
    for package in PACKAGES:
        (library / package).symlink_to(installed / package)
    _shim(interpreter.stdlib / "multiprocessing", library / "multiprocessing")
    binary = directory / "bin" / f"python{interpreter.minor}"
    binary.parent.mkdir()
    # A link would be followed to the library that it was installed with.
    shutil.copy2(os.path.realpath(interpreter.executable), binary)
    for shared in (interpreter.executable.parent.parent / "lib").glob("libpython*.so*"):
        (directory / "lib" / shared.name).symlink_to(shared)
    return binary


def _shim(original: Path, copy: Path) -> None:
    copy.mkdir()
    for entry in original.iterdir():
        if entry.name not in ("__init__.py", "__pycache__"):
            (copy / entry.name).symlink_to(entry)
    source = (original / "__init__.py").read_text(encoding="utf-8")
    (copy / "__init__.py").write_text(source + _INSTALL, encoding="utf-8")
