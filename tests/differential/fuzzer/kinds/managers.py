"""Managers, and pools that get their proxies."""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values

MAKERS = {
    "manager.list([1, 2])": (
        "it.append({v})",
        "it[0]",
        "it[7]",
        "it[:]",
        "len(it)",
        "it.pop()",
        "it.extend([{v}])",
        "it.sort()",
        "it + [1]",
        "str(it)",
        "pool.map(it.append, [5, 6], 1)",
        "pool.apply(len, (it,))",
        "pool.apply(mutated, (it,))",
    ),
    "manager.dict(a=1)": (
        "it['b']",
        "it.get('a')",
        "it.update(c={v})",
        "sorted(it.keys())",
        "it.__setitem__('d', {v})",
        "'a' in it",
        "it.copy()",
        "str(it)",
        "pool.apply(it.get, ('a',))",
    ),
    "manager.Namespace(x=1)": ("it.x", "it.y", "setattr(it, 'y', {v})", "str(it)"),
    "manager.Value('i', 3)": ("it.value", "setattr(it, 'value', {v})", "it.get()", "str(it)"),
    "manager.Array('i', [1, 2])": ("it[0]", "it[5]", "len(it)", "it.__setitem__(0, 7)"),
    "manager.Queue(2)": ("it.put_nowait({v})", "it.get_nowait()", "it.qsize()", "it.full()"),
    "manager.Lock()": ("it.acquire(False)", "it.release()", "pool.apply(it.acquire, (False,))"),
    "manager.Event()": ("it.set()", "it.is_set()", "it.wait(0.01)", "it.clear()"),
}


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    made = random.choice(list(MAKERS))
    steps = []
    for _ in range(random.randint(2, 6)):
        value = random.choice(values.SCALARS)
        if "000" in value or "+1" in value:
            value = "8"
        steps.append({"call": random.choice(MAKERS[made]).replace("{v}", value)})
    return {"made": made, "steps": steps}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    uses_pool = any("pool" in step["call"] for step in data["steps"])
    opened = "context.Manager() as manager" + (", context.Pool(1) as pool" if uses_pool else "")
    lines = [f"with {opened}:", f"    it = {data['made']}"]
    for number, step in enumerate(data["steps"]):
        lines.append(f'    show("{number} call", lambda: {step["call"]})')
    return lines
