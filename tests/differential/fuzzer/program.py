"""A random program: data that is rendered to a small Python program.

An expression is a string (Python as it is), or a list whose first item says what to make of the
others: `["list", "1", "2"]` is `[1, 2]`, `["Record", "'a'"]` is `Record('a')`. So a program can be
made smaller without looking at any source text.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

Expression = str | list[Any]

_BRACKETS = {"list": "[]", "set": "{}"}


def text_of(expression: Expression) -> str:
    """Render an expression."""
    if isinstance(expression, str):
        return expression
    head, *rest = expression
    if head == "dict":
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return "{" + ", ".join(f"{text_of(key)}: {text_of(item)}" for key, item in pairs) + "}"
    if head == "tuple":
        return "(" + "".join(f"{text_of(item)}, " for item in rest).strip() + ")"
    if head == "=":
        return f"{rest[0]}={text_of(rest[1])}"
    if head.startswith("."):
        return f"{text_of(rest[0])}{head}"
    inside = ", ".join(map(text_of, rest))
    if head in _BRACKETS and rest:
        return inside.join(_BRACKETS[head])
    return f"{head}({inside})"


def names_in(data: object) -> set[str]:
    """Return the names that occur in a part of a program, to ask what it uses."""
    return set(re.findall(r"[A-Za-z_]\w*", json.dumps(data)))


def source_of(body: Iterable[str], *, title: str, methods: str = "fork") -> str:
    """Return a whole program whose `main` is `body`, with the definitions that it uses."""
    main = "\n".join(["def main():", *(f"    {line}" for line in body)])
    chosen = _definitions_for(main)
    parts = [f'"""{title}"""\n# methods: {methods}', *_imports(chosen), *_texts(chosen)]
    parts += [main, 'if __name__ == "__main__":\n    main()\n']
    return "\n\n\n".join(parts)


class _Definition:
    """A statement at the top level of definitions.py."""

    def __init__(self, text: str, node: ast.stmt) -> None:
        self.text = text
        self.is_import = isinstance(node, ast.Import | ast.ImportFrom)
        self.origin = node.module if isinstance(node, ast.ImportFrom) else None
        self.used = set() if self.is_import else _used(node)


def _used(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {name for n in ast.walk(tree) if isinstance(n, ast.Global) for name in n.names}


@cache
def _definitions() -> dict[str, _Definition]:
    source = (Path(__file__).parent / "definitions.py").read_text()
    lines = source.splitlines()
    found: dict[str, _Definition] = {}
    for node in ast.parse(source).body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        text = "\n".join(lines[first - 1 : node.end_lineno])
        for name in _defined(node):
            found[name] = _Definition(text, node)
    return found


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@cache
def _needed_by(name: str) -> frozenset[str]:
    """The definition and all that it needs in turn."""
    definitions = _definitions()
    needed, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in needed:
            needed.add(name)
            waiting.extend(definitions[name].used)
    return frozenset(needed)


def _definitions_for(main: str) -> list[tuple[str, _Definition]]:
    needed = set().union(*map(_needed_by, _used(ast.parse(main))))
    return [(name, item) for name, item in _definitions().items() if name in needed]


def _imports(chosen: list[tuple[str, _Definition]]) -> Iterator[str]:
    plain = [item.text for _, item in chosen if item.is_import and item.origin is None]
    if plain:
        yield "\n".join(plain)
    origins: dict[str, list[str]] = {}
    for name, item in chosen:
        if item.origin is not None:
            origins.setdefault(item.origin, []).append("name as way" if name == "way" else name)
    if origins:
        lines = [f"from {origin} import {', '.join(names)}" for origin, names in origins.items()]
        yield "\n".join(lines)


def _texts(chosen: list[tuple[str, _Definition]]) -> Iterator[str]:
    seen = set()
    for _, item in chosen:
        if not item.is_import and item.text not in seen:
            seen.add(item.text)
            yield item.text
