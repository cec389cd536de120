"""Makes a program with a fault as small as it can be while it still has that fault."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

from fuzzer.compare import Verdict
from fuzzer.judge import judge
from fuzzer.lanes import Lane

# Keys whose values are not made smaller.
_KEPT = frozenset({"seed", "kind", "method", "op", "where", "made", "what", "size"})

# Seconds for one program; what is left then is small enough to read.
_BUDGET = 25.0
_LIMIT = 6.0


def shrink(lane: Lane, found: Verdict) -> Verdict:
    """Return the verdict on the smallest program that was found."""
    best = found
    wanted = found.faults[0].signature
    deadline = time.monotonic() + _BUDGET
    tried = {json.dumps(found.program)}
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for candidate in smaller(best.program):
            text = json.dumps(candidate)
            if text in tried or time.monotonic() > deadline:
                continue
            tried.add(text)
            try:
                judged = judge(lane, candidate, _LIMIT)
            except (SyntaxError, KeyError, IndexError, TypeError):
                continue  # not a program any more
            if wanted in {fault.signature for fault in judged.faults}:
                best, progress = judged, True
                break
    return best


def smaller(program: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield programs that are a bit smaller, the much smaller ones first."""
    steps = program["steps"]
    for size in (len(steps) // 2, 1):
        for first in range(0, len(steps), max(size, 1)):
            if 0 < size < len(steps):
                yield program | {"steps": steps[:first] + steps[first + size :]}
    for key in ("initializer", "maxtasks", "after", "callbacks"):
        if key in program:
            yield {name: item for name, item in program.items() if name != key}
    for key, simple in (("processes", 1), ("workers", 1), ("end", "join"), ("close", None)):
        if key in program and program[key] not in (simple, "leave"):
            yield program | {key: simple}
    yield from _smaller_parts(program, ())


def _smaller_parts(part: Any, path: tuple[Any, ...], root: Any = None) -> Iterator[dict[str, Any]]:
    root = part if root is None else root
    if isinstance(part, dict):
        for key, item in part.items():
            if key not in _KEPT:
                yield from _smaller_parts(item, (*path, key), root)
            if key in ("chunksize", "callbacks", "taken") and item is not None:
                yield _replaced(root, (*path, key), None)
    elif isinstance(part, list) and part and isinstance(part[0], str) and path[-1] != "steps":
        for child in part[1:]:
            if not (isinstance(child, list) and child[:1] == ["="]):
                yield _replaced(root, path, child)
        if part[0] in ("list", "tuple", "set", "Plain"):
            for index in range(1, len(part)):
                yield _replaced(root, path, part[:index] + part[index + 1 :])
        yield _replaced(root, path, "1")
        for index, item in enumerate(part[1:], 1):
            yield from _smaller_parts(item, (*path, index), root)
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from _smaller_parts(item, (*path, index), root)
    elif isinstance(part, str) and len(path) > 1 and part not in ("1", "identity", "f0"):
        if path[-1] == "function":
            yield _replaced(root, path, "identity")
        elif path[-1] != "call" and "functions" not in path:
            yield _replaced(root, path, "1")
    elif isinstance(part, int) and not isinstance(part, bool) and path[-1] == "chunksize":
        for simple in (1, 2):
            if part > simple:
                yield _replaced(root, path, simple)


def _replaced(root: dict[str, Any], path: tuple[Any, ...], item: Any) -> dict[str, Any]:
    changed = copy.deepcopy(root)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = item
    return changed
