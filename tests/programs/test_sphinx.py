"""A Sphinx build in two processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from both import SAY_WHOSE, need, run_both

need("sphinx")

PAGES = 12


def make(folder: Path) -> None:
    (folder / "conf.py").write_text(
        f"{SAY_WHOSE}\nsay_whose()\nproject = 'Pond'\nhtml_last_updated_fmt = None\n"
    )
    names = [f"page{n}" for n in range(PAGES)]
    contents = "\n".join(f"   {name}" for name in names)
    (folder / "index.rst").write_text(f"Pond\n====\n\n.. toctree::\n\n{contents}\n")
    for name, following in zip(names, [*names[1:], "nowhere"], strict=True):
        (folder / f"{name}.rst").write_text(f"{name}\n=====\n\nSee :doc:`{following}`.\n")


def pages(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): re.sub(r"\d{10,}", "STAMP", file.read_text())
        for file in sorted((folder / "out").rglob("*.html"))
    }


@pytest.mark.slow
def test_sphinx(tmp_path: Path) -> None:
    arguments = ["-m", "sphinx", "-j", "2", "-b", "html", "--no-color", "-q", ".", "out"]
    both = run_both(tmp_path, make, arguments)
    assert both.returncode == 0
    assert "nowhere" in both.stderr
    assert len(pages(both.plain)) >= PAGES
    assert pages(both.millpond) == pages(both.plain)
