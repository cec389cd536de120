"""Cyclomatic complexity of Python functions.

The cyclomatic complexity of a function is the number of linearly independent paths through its
control flow graph. For structured code that is the number of its decisions plus one, each
condition of a compound predicate counted by itself (T. J. McCabe, "A Complexity Measure", IEEE
Transactions on Software Engineering SE-2(4), 1976, pages 308-320).

What decides here: `if`, `elif`, a conditional expression, `for`, `while`, each `for` and `if` of
a comprehension, `except`, each `and` and `or`, and a `case` that may not match, and its guard.
A nested function has a complexity of its own; a lambda or a class body belongs to the function
around it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable


def decisions(node: ast.AST) -> int:
    """Return the number of decisions that this node makes, not counting those inside it."""
    count = _DECISIONS.get(type(node))
    return count(node) if count is not None else 0


def _one(node: ast.AST) -> int:
    return 1


def _of_comprehension(node: ast.comprehension) -> int:
    return 1 + len(node.ifs)


def _of_operators(node: ast.BoolOp) -> int:
    return len(node.values) - 1


def _of_case(node: ast.match_case) -> int:
    return (not _always_matches(node.pattern)) + (node.guard is not None)


def _always_matches(pattern: ast.pattern) -> bool:
    match pattern:
        case ast.MatchAs(pattern=inner):
            return inner is None or _always_matches(inner)
        case ast.MatchOr(patterns=alternatives):
            return any(map(_always_matches, alternatives))
    return False


_DECISIONS: dict[type[ast.AST], Callable[..., int]] = {
    ast.If: _one,
    ast.IfExp: _one,
    ast.For: _one,
    ast.AsyncFor: _one,
    ast.While: _one,
    ast.ExceptHandler: _one,
    ast.comprehension: _of_comprehension,
    ast.BoolOp: _of_operators,
    ast.match_case: _of_case,
}
