"""Executors."""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values
from fuzzer.kinds.pool import CHANGES
from fuzzer.program import Expression, names_in, text_of

MISUSES = (
    "executor.submit()",
    "executor.submit(5).result()",
    "executor.submit(None, 1).exception()",
    "executor.submit(identity).exception()",
    "executor.submit(identity, 1, 2).exception()",
    "executor.submit(keyword_only, 1, factor=3).result()",
    "executor.submit(fn=identity)",
    "executor.submit(joined, fn=1).result()",
    "list(executor.map(identity, 5))",
    "list(executor.map(identity))",
    "list(executor.map(swapped, [1, 2], [3]))",
    "list(executor.map(joined, [1, 2], 'ab', generate([5, 6, 7])))",
    "list(executor.map(identity, [1, 2], chunksize=0))",
    "list(executor.map(identity, [1, 2], chunksize=-1))",
    "list(executor.map(identity, [1, 2], timeout=60))",
    "list(executor.map(None, [1]))",
    "list(executor.map(identity, RaisesInIter()))",
    "type(executor.map(identity, [1])).__name__",
    "next(executor.map(identity, []))",
    "executor.submit(own_children, 1).result()",
    "executor.submit(about_process, os.getpid()).result()[1:]",
    "executor._max_workers",
    "type(executor).__name__",
    "isinstance(executor, concurrent.futures.Executor)",
    "isinstance(executor.submit(identity, 1), concurrent.futures.Future)",
    "ProcessPoolExecutor(0)",
    "ProcessPoolExecutor(-1)",
    "ProcessPoolExecutor('a')",
    "ProcessPoolExecutor(initializer=5)",
    "ProcessPoolExecutor(1, max_tasks_per_child=0)",
    "asked_by_thread(lambda: executor.submit(identity, 1).result())",
    "executor.submit(identity, 1).result(timeout=60)",
    "concurrent.futures.wait([executor.submit(identity, 1)]).not_done",
    "executor.not_there",
)

AFTER_END = (
    "executor.submit(identity, 1)",
    "executor.map(identity, [1])",
    "list(executor.map(identity, []))",
    "executor.shutdown()",
    "executor.__enter__() is executor",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    data: dict[str, Any] = {
        "workers": random.choice([1, 1, 1, 2, 3]),
        "functions": [_function(random) for _ in range(2)],
        "steps": [],
        "end": random.choice(["with", "with", "shutdown", "nothing", "no_wait", "cancel", "exit"]),
    }
    if random.random() < 0.2:
        data["initializer"] = [values.value(random) for _ in range(random.randint(0, 2))]
    for _ in range(random.randint(1, 4)):
        data["steps"].append(_step(random))
    if names_in(data["steps"] + data["functions"]) & values.WORKER_STATE:
        data["workers"] = 1
    if random.random() < 0.08:
        data["steps"].append(_doom(random))
    if data["end"] in ("with", "shutdown", "no_wait", "cancel") and random.random() < 0.3:
        data["after"] = random.sample(AFTER_END, 2)
    return data


def _function(random: Random) -> Expression:
    # What does not pickle is a race in the standard library's, which may end in a deadlock.
    found = values.function(random)
    unfit = values.POISON | values.BY_VALUE | {"raise_unpicklable"}
    return _function(random) if names_in(found) & unfit else found


def _step(random: Random) -> dict[str, Any]:
    dice = random.random()
    if dice < 0.15:
        return {"op": "misuse", "call": random.choice(MISUSES)}
    if dice < 0.2:
        return {"op": "change", "what": random.choice(CHANGES)}
    function = random.choice(["f0", "f0", "f1"])
    if dice < 0.6:
        argument = values.exception(random) if random.random() < 0.2 else values.value(random)
        return {
            "op": random.choice(["submit", "submit", "submit_callback", "submit_exception"]),
            "function": "raise_given" if random.random() < 0.2 else function,
            "args": [argument],
        }
    if dice < 0.7:
        return {
            "op": "as_completed",
            "function": function,
            "args": [values.value(random, 1) for _ in range(random.randint(1, 3))],
        }
    return {
        "op": "map",
        "function": function,
        "source": values.source(random),
        "chunksize": random.choice([None, 1, 2, 1000]),
    }


def _doom(random: Random) -> dict[str, Any]:
    function: Expression = "identity"
    argument: Expression = "1"
    what = random.randrange(4)
    if what == 0:
        argument = random.choice(["DoesNotUnpickle()", "PicklesElsewhere()"])
    elif what == 1:
        function = random.choice([*values.DOOMED_FUNCTIONS, "leave", "killed"])
    else:
        function = ["functools.partial", "raising", random.choice(values.POISONED_EXCEPTIONS)]
    return {"op": "submit", "function": function, "args": [argument], "doom": True}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    made = [str(data["workers"]), "mp_context=context"]
    if "initializer" in data:
        made += ["initializer=set_marker", f"initargs={text_of(['tuple', *data['initializer']])}"]
    used = names_in(data["steps"])
    lines = [
        f"f{number} = {text_of(function)}"
        for number, function in enumerate(data["functions"])
        if f"f{number}" in used
    ]
    steps: list[str] = []
    for number, step in enumerate(data["steps"]):
        steps += _render_step(number, step, data)
    if data["end"] == "with":
        lines.append(f"with ProcessPoolExecutor({', '.join(made)}) as executor:")
        lines += [f"    {line}" for line in steps or ["pass"]]
    else:
        lines.append(f"executor = ProcessPoolExecutor({', '.join(made)})")
        lines += steps
    ends = {
        "shutdown": ["executor.shutdown()"],
        "no_wait": ["executor.shutdown(wait=False)"],
        "cancel": ["executor.shutdown(cancel_futures=True)"],
        "exit": ["sys.exit(3)"],
    }
    lines += ends.get(data["end"], [])
    for number, call in enumerate(data.get("after", ())):
        lines.append(f'show("after {number}", lambda: {call})')
    return lines


def _render_step(number: int, step: dict[str, Any], data: dict[str, Any]) -> list[str]:
    op = step["op"]
    if op == "misuse":
        return [f'show("{number} misuse", lambda: {step["call"]})']
    if op == "change":
        if step["what"].startswith("global"):
            return ["globals()['total'] = 100"]
        return ["with contextlib.suppress(Exception):", f"    {step['what']}"]
    label = f"{number} {op}"
    function = text_of(step["function"])
    if op == "map":
        source = text_of(step["source"])
        lines = []
        if "counted" in names_in(step["source"]):
            lines.append(f"taken{number} = []")
            source = source.replace("taken", f"taken{number}")
        size = "" if step["chunksize"] is None else f", chunksize={step['chunksize']}"
        call = f"executor.map({function}, {source}{size})"
        lines.append(f'show("{label}", lambda: drain({call}))')
        if "counted" in names_in(step["source"]):
            lines.append(f'show("{label} taken", lambda: taken{number})')
    elif op == "as_completed":
        futures = [f"executor.submit({function}, {text_of(arg)})" for arg in step["args"]]
        lines = [f'show("{label}", lambda: completed([{", ".join(futures)}]))']
    else:
        call = f"executor.submit({function}, {', '.join(map(text_of, step['args']))})"
        lines = [f"future{number} = {call}"]
        if op == "submit_callback":
            lines += [
                f"calls{number} = []",
                f"future{number}.add_done_callback(notes_of(calls{number}, 'done'))",
            ]
        ask = "exception" if op == "submit_exception" else "result"
        lines.append(f'show("{label}", lambda: future{number}.{ask}())')
        lines.append(f'show("{label} state", lambda: state_of(future{number}))')
    if isinstance(step["function"], str) and step["function"] in ("f0", "f1"):
        lines.append(f'show("{number} caller", lambda: {step["function"]})')
    return lines
