"""What README.md and docs/ show runs, and what they link to exists."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest
from support.program import run_program

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BASE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of a page; `output` is the block of text behind a program."""

    page: str
    line: int
    language: str
    text: str
    output: str | None


def blocks(path: Path) -> Iterator[Block]:
    page = path.read_text()
    found = list(FENCED.finditer(page))
    for match, after in zip_longest(found, found[1:]):
        is_output = after is not None and after[1] == "text"
        adjacent = is_output and not page[match.end() : after.start()].strip()
        line = page.count("\n", 0, match.start()) + 1
        name = str(path.relative_to(ROOT))
        yield Block(name, line, match[1], match[2], after[2] if adjacent else None)


BLOCKS = [block for page in PAGES for block in blocks(page)]
PROGRAMS = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"{block.page}:{block.line}")
def test_programs_print_what_the_page_says(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.text)
    done = run_program([sys.executable, program], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert block.output is not None, "a program is followed by what it prints"
    assert done.stdout == block.output


def test_the_rust_program_is_an_example_of_the_crate() -> None:
    (block,) = [block for block in BLOCKS if block.language == "rust"]
    example = (ROOT / "crates/millpond/examples/guide.rs").read_text()
    assert example == "//! The program of docs/rust.md.\n\n" + block.text


def test_commands_exist() -> None:
    sources = (ROOT / "xtask/src/commands").glob("*.rs")
    known = {source.stem for source in sources} - {"mod"}
    lines = [line for b in BLOCKS if b.language == "sh" for line in b.text.splitlines()]
    for line in lines:
        words = line.partition("#")[0].split()
        if words[:2] == ["cargo", "xtask"]:
            assert words[2] in known
        else:
            assert words[:3] in (["pip", "install", "millpond"], ["python", "-m", "millpond"])
    assert {"cargo xtask demo", "cargo xtask test"} <= {
        line.partition("#")[0].strip() for line in lines
    }


def test_all_blocks_are_tested() -> None:
    assert {block.language for block in BLOCKS} == {"python", "text", "rust", "sh"}
    texts = [block for block in BLOCKS if block.language == "text"]
    assert len(texts) == sum(block.output is not None for block in BLOCKS) == len(PROGRAMS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    raw = BASE.replace("https://github.com", "https://raw.githubusercontent.com") + "/main/"
    for link in LINK.findall(page.read_text()):
        path = link.partition("#")[0]
        for prefix in (f"{BASE}/blob/main/", f"{BASE}/tree/main/", raw):
            if path.startswith(prefix):
                assert (ROOT / path.removeprefix(prefix)).exists(), link
                break
        else:
            if path.startswith("https://"):
                continue
            # On PyPI, the README is alone.
            assert page != README, f"{link} is relative"
            assert (page.parent / path).exists(), link
