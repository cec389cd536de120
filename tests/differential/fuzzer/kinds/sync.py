"""Locks and other synchronisation, used by one process and then by another."""

from __future__ import annotations

from random import Random
from typing import Any

MAKERS: dict[str, tuple[str, ...]] = {
    "Lock": ("context.Lock()", "mp.Lock()"),
    "RLock": ("context.RLock()",),
    "Semaphore": ("context.Semaphore()", "context.Semaphore(2)", "context.Semaphore(0)"),
    "BoundedSemaphore": ("context.BoundedSemaphore()", "context.BoundedSemaphore(2)"),
    "Condition": ("context.Condition()", "context.Condition(context.Lock())"),
    "Event": ("context.Event()",),
    "Barrier": (
        "context.Barrier(1)",
        "context.Barrier(2)",
        "context.Barrier(1, action=functools.partial(say, 'action', 'called'))",
        "context.Barrier(2, timeout=0.01)",
    ),
}

SEM_CALLS = (
    "it.acquire(False)",
    "it.acquire(False)",
    "it.acquire(timeout=0.01)",
    "it.acquire(True, 0)",
    "it.acquire(block=False)",
    "it.acquire(True, -1)",
    "it.acquire(False, 5)",
    "it.release()",
    "it.release()",
    "it.__enter__() if it.acquire(False) and it.release() is None else 'taken'",
    "it.__exit__(None, None, None)",
    "repr(it)",
    "it._semlock._is_mine()",
    "it._semlock._get_value()",
    "it._semlock._is_zero()",
    "it._semlock.kind",
    "it._semlock.maxvalue",
    "pickle.dumps(it)",
    "type(it).__name__",
    "it.not_there",
    "it.release(1, 2)",
)

CALLS: dict[str, tuple[str, ...]] = {
    "Lock": SEM_CALLS,
    "RLock": (*SEM_CALLS, "it._semlock._count()"),
    "Semaphore": (*SEM_CALLS, "it.get_value()", "it.get_value()"),
    "BoundedSemaphore": (*SEM_CALLS, "it.get_value()", "it.get_value()"),
    "Condition": (
        "it.acquire(False)",
        "it.acquire(timeout=0.01)",
        "it.release()",
        "it.wait(0.01)",
        "it.wait(0)",
        "it.wait(-1)",
        "it.notify()",
        "it.notify(3)",
        "it.notify(0)",
        "it.notify_all()",
        "it.wait_for(lambda: True)",
        "it.wait_for(lambda: False, 0.01)",
        "it.wait_for(lambda: 'found', timeout=5)",
        "it.wait_for(lambda: 1 / 0, 0.01)",
        "repr(it)",
        "type(it).__name__",
        "pickle.dumps(it)",
    ),
    "Event": (
        "it.set()",
        "it.set()",
        "it.clear()",
        "it.is_set()",
        "it.wait(0.01)",
        "it.wait(0)",
        "it.wait(timeout=-1)",
        "it.wait() if it.is_set() else 'not set'",
        "repr(it)",
        "type(it).__name__",
        "pickle.dumps(it)",
    ),
    "Barrier": (
        "it.wait(0.01)",
        "it.wait(timeout=0.01)",
        "it.wait(0)",
        "it.parties",
        "it.n_waiting",
        "it.broken",
        "it.abort()",
        "it.reset()",
        "sorted(asked_by_thread(it.abort) + asked_by_thread(lambda: it.broken))",
        "type(it).__name__",
        "repr(it) != ''",
        "pickle.dumps(it)",
    ),
}

WHERE = ("here", "here", "here", "here", "thread", "child", "child", "fork", "killed")

MISUSES = (
    "context.Semaphore(-1)",
    "context.Semaphore('a')",
    "context.Semaphore(1.5)",
    "context.Semaphore(2**31)",
    "context.Semaphore(2**31 - 1).get_value()",
    "context.BoundedSemaphore(0).release()",
    "context.BoundedSemaphore(-1)",
    "context.Condition(5)",
    "context.Condition(context.Semaphore())",
    "context.Barrier(0)",
    "context.Barrier(-1)",
    "context.Barrier()",
    "context.Barrier(1).wait()",
    "[context.Barrier(1).wait() for _ in range(2)]",
    "context.Lock() == context.Lock()",
    "bool(context.Lock())",
    "len({context.Lock(), context.Lock()})",
    "isinstance(context.Lock(), mp.synchronize.Lock)",
    "isinstance(context.Lock(), mp.synchronize.SemLock)",
    "context.Lock(5)",
    "context.Lock().acquire(1, 2, 3)",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    kind = random.choice([*MAKERS, "Lock", "RLock", "Semaphore"])
    steps: list[dict[str, Any]] = [
        {"where": random.choice(WHERE), "call": random.choice(CALLS[kind])}
        for _ in range(random.randint(2, 8))
    ]
    if kind in ("RLock", "Condition"):
        # A thread may have the number of one that has ended, and then be taken for it.
        for step in [step for step in steps if step["where"] == "thread"][1:]:
            step["where"] = "here"
    if random.random() < 0.15:
        steps.append({"where": "here", "call": random.choice(MISUSES)})
    pool = random.random() < 0.15 and kind in ("Lock", "Semaphore", "BoundedSemaphore", "Event")
    return {"made": random.choice(MAKERS[kind]), "steps": steps, "pool": pool}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    lines = [f"it = {data['made']}"]
    for number, step in enumerate(data["steps"]):
        call = {
            "here": "{}",
            "thread": "asked_by_thread(lambda: {})",
            "child": "in_child(lambda: {})",
            "fork": "forked_child(lambda: {})",
            "killed": "killed_child(lambda: {})",
        }[step["where"]].format(step["call"])
        lines.append(f'show("{number} {step["where"]}", lambda: {call})')
    if data["pool"]:
        task = "set_kept" if "Event" in data["made"] else "acquire_kept"
        lines += [
            "with context.Pool(1, kept, (it,)) as pool:",
            f'    show("pool", lambda: pool.map({task}, range(3), 1))',
        ]
    return lines
