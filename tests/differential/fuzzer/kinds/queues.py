"""Queues. A model of what is in them sees to it that no call waits for ever, and none is a race.

The standard library's `Queue` puts by a thread: what a call finds at once may or may not be there,
so only `SimpleQueue` is asked whether it is empty when something was put.
"""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values
from fuzzer.program import Expression, text_of

# What fits into a pipe of the standard library together with a few others.
SMALL: tuple[Expression, ...] = tuple(
    item
    for item in (*values.SCALARS, *values.OBJECTS)
    if "000" not in str(item) and "large" not in str(item)
)

REFUSED = ("DoesNotPickle()", "threading.Lock()", "[1, DoesNotPickle()]", "generate([1])")

MISUSES = (
    "q.get_nowait() if {count} == 0 else 'filled'",
    "q.get(timeout=0.01) if {count} == 0 else 'filled'",
    "q.get(True, 0) if {count} == 0 else 'filled'",
    "q.get(timeout=-1) if {count} == 0 else 'filled'",
    "q.qsize()",
    "q.full()",
    "q.empty() if {count} == 0 else 'filled'",
    "q.put_nowait('nowait')",
    "q.put('timeout', timeout=0.01)",
    "q.put('negative', True, -1)",
    "q.put('not blocking', False)",
    "q.task_done()",
    "pickle.dumps(q)",
    "type(q).__name__",
    "isinstance(q, mp.queues.Queue)",
    "q.join() if {undone} == 0 else 'undone'",
    "q.not_there",
    "q._maxsize",
    "context.Queue(-1)._maxsize == context.Queue()._maxsize",
    "context.Queue('a')",
    "context.Queue(1.5)",
    "context.JoinableQueue(2).full()",
    "q.join_thread()",
    "q.put()",
    "bool(q)",
    "len(q)",
    "list(q)",
    "[q.put(item) for item in ()]",
)

SIMPLE_MISUSES = (
    "q.empty()",
    "type(q).__name__",
    "pickle.dumps(q)",
    "q.put()",
    "q.get(1, 2, 3)",
)

AFTER_CLOSE = ("q.put(1)", "q.get(False)", "q.close()", "q.full()", "q.qsize()")

MAKERS = (
    ("context.Queue()", 0),
    ("context.Queue(3)", 3),
    ("context.Queue(maxsize=1)", 1),
    ("context.JoinableQueue()", 0),
    ("context.JoinableQueue(2)", 2),
    ("context.SimpleQueue()", 0),
    ("mp.Queue(4)", 4),
    ("mp.SimpleQueue()", 0),
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    made, size = random.choice(MAKERS)
    steps: list[dict[str, Any]] = []
    for _ in range(random.randint(2, 7)):
        steps.append(_step(random, "Simple" in made))
    if random.random() < 0.04:
        steps.append({"op": "refused", "value": random.choice(REFUSED)})
    close = random.choice([None, None, "q.close()"]) if steps[-1]["op"] != "refused" else None
    after = random.sample(AFTER_CLOSE, 2) if close and "Simple" not in made else []
    return {"made": made, "size": size, "steps": steps, "close": close, "after": after}


def _step(random: Random, simple: bool) -> dict[str, Any]:
    dice = random.random()
    if dice < 0.35:
        return {"op": "put", "value": _value(random)}
    if dice < 0.6:
        return {"op": "get", "how": "q.get()" if simple else random.choice(_GETS)}
    if dice < 0.85 or simple:
        if random.random() < 0.5:
            kind = random.choice(SIMPLE_MISUSES if simple else MISUSES)
            return {"op": "misuse", "call": kind}
        if random.random() < 0.5:
            return {"op": "child puts", "values": [_value(random) for _ in range(2)]}
        return {"op": "child gets"}
    return {"op": "pool", "value": _value(random), "what": random.choice(["put", "get"])}


_GETS = ("q.get()", "q.get(timeout=60)", "q.get(True)", "q.get(block=True, timeout=60)")


def _value(random: Random) -> Expression:
    if random.random() < 0.3:
        return ["list", random.choice(SMALL), random.choice(SMALL)]
    if random.random() < 0.1:
        return values.exception(random)
    return random.choice(SMALL)


class _Model:
    """How many items are in the queue."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = self.undone = 0

    def takes(self, more: int) -> bool:
        return not self.size or self.count + more <= self.size

    def put(self, more: int = 1) -> None:
        self.count += more
        self.undone += more


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    lines = [f"q = {data['made']}"]
    model = _Model(data["size"])
    for number, step in enumerate(data["steps"]):
        lines += _render_step(number, step, model)
    if data["close"]:
        # A process that ends waits for a queue's thread, if what was put is not taken.
        lines.append(f'show("drained", lambda: [q.get() for _ in range({model.count})])')
        lines.append(f'show("close", lambda: {data["close"]})')
    for number, call in enumerate(data["after"]):
        lines.append(f'show("after {number}", lambda: {call})')
    return lines


def _render_step(number: int, step: dict[str, Any], model: _Model) -> list[str]:
    op = step["op"]
    label = f"{number} {op}"
    if op == "refused" and model.takes(1):
        return [f'show("{label}", lambda: q.put({text_of(step["value"])}))', "time.sleep(0.05)"]
    if op == "put" and model.takes(1):
        model.put()
        return [f'show("{label}", lambda: q.put({text_of(step["value"])}))']
    if op == "get" and model.count:
        model.count -= 1
        return [f'show("{label}", lambda: {step["how"]})']
    # What this process put before may still be with its thread: which is first would be chance.
    if op == "child puts" and not model.count and model.takes(2):
        model.put(2)
        items = ", ".join(map(text_of, step["values"]))
        return [f'show("{label}", lambda: in_child(lambda: put_all(q, {items})))']
    if op == "child gets" and model.count:
        model.count -= 1
        return [f'show("{label}", lambda: in_child(q.get))']
    if op == "pool":
        return _render_pool(label, step, model)
    if op == "misuse":
        return _render_misuse(label, step["call"], model)
    return []


def _render_pool(label: str, step: dict[str, Any], model: _Model) -> list[str]:
    if step["what"] == "put" and not model.count:
        model.put()
        call = f"pool.apply(put_kept, ({text_of(step['value'])},))"
    elif step["what"] == "get" and model.count:
        model.count -= 1
        call = "pool.apply(get_kept, (1,))"
    else:
        return []
    # Joined, not terminated: what a worker puts may still be with its thread.
    return [
        "pool = context.Pool(1, kept, (q,))",
        f'show("{label}", lambda: {call})',
        "pool.close()",
        "pool.join()",
    ]


def _render_misuse(label: str, call: str, model: _Model) -> list[str]:
    if call.startswith("q.put") and call != "q.put()":
        if not model.takes(1):
            return [f'show("{label}", lambda: {call})']
        model.put()
    if "task_done" in call and model.undone:
        model.undone -= 1
    call = call.replace("{count}", str(model.count)).replace("{undone}", str(model.undone))
    return [f'show("{label}", lambda: {call})']
