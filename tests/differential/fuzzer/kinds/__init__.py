"""The kinds of program; each module generates and renders one."""

from __future__ import annotations

from random import Random
from types import ModuleType
from typing import Any

from fuzzer.kinds import executor, managers, pipes, pool, process, queues, shared, sync
from fuzzer.program import names_in, source_of

# How many of a hundred programs.
WEIGHTS: dict[str, tuple[int, ModuleType]] = {
    "pool": (40, pool),
    "executor": (14, executor),
    "queue": (10, queues),
    "synchronisation": (11, sync),
    "pipe": (9, pipes),
    "process": (8, process),
    "shared data": (7, shared),
    "manager": (1, managers),
}


# One in so many programs of these kinds starts processes in another way than by fork, and one of
# all runs in an interpreter of its own: both are slow.
_SLOW = 60
_ANY_METHOD = ("pool", "executor", "process")

# What these make is not for processes that are not forked.
_FORKS = frozenset("in_child forked_child asked_by_thread nested_process lambda".split())


def generate(seed: int) -> dict[str, Any]:
    """Return the program of a seed."""
    random = Random(f"millpond {seed}")
    kind = random.choices(list(WEIGHTS), [weight for weight, _ in WEIGHTS.values()])[0]
    data: dict[str, Any] = WEIGHTS[kind][1].generate(random)
    method = "fork"
    if kind in _ANY_METHOD and not random.randrange(_SLOW) and not names_in(data) & _FORKS:
        method = random.choice(["spawn", "forkserver"])
    real = method != "fork" or not random.randrange(_SLOW)
    return {"seed": seed, "kind": kind, "method": method, "real": real, **data}


def render(data: dict[str, Any]) -> str:
    """Return the source of a program."""
    body = WEIGHTS[data["kind"]][1].render(data)
    title = f"Program {data['seed']}: {data['kind']}."
    return source_of(body or ["pass"], title=title, methods=data["method"])
