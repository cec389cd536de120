"""What there is to know of one source file; this is the task that the pool's workers run."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from complexity import decisions


class Function(NamedTuple):
    """A function, by its qualified name within the file, and its cyclomatic complexity."""

    name: str
    line: int
    complexity: int


@dataclass(frozen=True)
class FileReport:
    """The analysis of one file; of one that could not be analysed, only why."""

    path: str
    lines: int = 0
    functions: tuple[Function, ...] = ()
    classes: int = 0
    names: Counter[str] = field(default_factory=Counter)
    problem: str | None = None


def analyse_file(path: str) -> FileReport:
    """Read and analyse one file. What is wrong with the file is said in the report."""
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        return FileReport(path, problem=f"cannot be read: {error.strerror}")
    return analyse_source(path, source)


def analyse_source(path: str, source: bytes) -> FileReport:
    """Analyse the source of one file, in the encoding that it declares."""
    try:
        with warnings.catch_warnings():
            # Odd escapes and the like are the library's business.
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename=path)
    except SyntaxError as error:
        return FileReport(path, problem=error.msg)
    except (ValueError, RecursionError) as error:
        return FileReport(path, problem=str(error))

    survey = _Survey()
    survey.visit(tree)
    return FileReport(
        path,
        lines=len(source.splitlines()),
        functions=tuple(sorted(function.closed() for function in survey.functions)),
        classes=survey.classes,
        names=survey.names,
    )


@dataclass(slots=True)
class _OpenFunction:
    """A function that is being read."""

    name: str
    line: int
    complexity: int = 1

    def closed(self) -> Function:
        return Function(self.name, self.line, self.complexity)


class _Scope(NamedTuple):
    """What surrounds a node: the start of its qualified name, and the innermost function."""

    prefix: str
    function: _OpenFunction | None


class _Survey:
    """Counts everything in one walk, without recursion: some trees are deep."""

    def __init__(self) -> None:
        self.classes = 0
        self.names: Counter[str] = Counter()
        self.functions: list[_OpenFunction] = []

    def visit(self, tree: ast.AST) -> None:
        waiting: list[tuple[ast.AST, _Scope]] = [(tree, _Scope("", None))]
        while waiting:
            node, scope = waiting.pop()
            if scope.function is not None:
                scope.function.complexity += decisions(node)
            if isinstance(node, ast.Name):
                self.names[node.id] += 1
            elif isinstance(node, ast.ClassDef):
                self.classes += 1
                scope = _Scope(f"{scope.prefix}{node.name}.", scope.function)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = self._open(node, scope)
                waiting += [(child, inner) for child in node.body]
                waiting += [(child, scope) for child in _evaluated_outside(node)]
                continue
            waiting += [(child, scope) for child in ast.iter_child_nodes(node)]

    def _open(self, node: ast.FunctionDef | ast.AsyncFunctionDef, outer: _Scope) -> _Scope:
        function = _OpenFunction(outer.prefix + node.name, node.lineno)
        self.functions.append(function)
        return _Scope(f"{function.name}.", function)


def _evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AST]:
    """Return the parts of a function that belong to what surrounds it, defaults for instance."""
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
