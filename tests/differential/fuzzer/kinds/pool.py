"""Pools."""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values
from fuzzer.program import Expression, names_in, text_of

ENDS = ("join", "join", "join", "terminate", "with", "with", "nothing", "exit", "del")

MISUSES = (
    "pool.apply(5)",
    "pool.apply(None)",
    "pool.apply(identity, 5)",
    "pool.apply(identity, (1,), 5)",
    "pool.apply(identity)",
    "pool.apply(identity, (1, 2))",
    "pool.apply(keyword_only, (1,), {'factor': 3})",
    "pool.apply(joined, 'ab', {'c': 1})",
    "pool.map(identity, 5)",
    "pool.map(identity, None)",
    "pool.map(None, [1])",
    "pool.map(None, [])",
    "pool.map(identity, [1, 2], 0)",
    "pool.map(identity, [1, 2], -1)",
    "pool.map(identity, [], 0)",
    "pool.map(identity, [1], True)",
    "pool.map(identity, RaisesInIter())",
    "pool.map(func=identity, iterable=[1], chunksize=1)",
    "pool.starmap(joined, [1, 2])",
    "pool.starmap(joined, [{'a': 1}])",
    "pool.starmap(swapped, [(1,)])",
    "pool.starmap(swapped, zip([1], [2]))",
    "drain(pool.imap(identity, [1, 2], 0))",
    "drain(pool.imap(identity, [1, 2], -2))",
    "drain(pool.imap(identity, 5))",
    "drain(pool.imap(5, [1]))",
    "drain(pool.imap_unordered(identity, None))",
    "drain(pool.imap_unordered(identity, [1, 2], 0))",
    "drain(pool.imap(identity, RaisesInIter()))",
    "drain(pool.imap(identity, WrongLength([1, 2, 3], 2)))",
    "drain(pool.imap_unordered(identity, WrongLength([1], 2), 2))",
    "pool.imap(identity, [1]).next(5)",
    "pool.imap(identity, []).next(5)",
    "iter(pool.imap(identity, [1])) is not None",
    "list(pool.imap(identity, [1], chunksize=2))",
    "pool.apply_async(identity, (1,)).get(60)",
    "pool.apply_async(identity, (1,)).wait(60)",
    "pool.map_async(identity, []).get()",
    "pool.map_async(identity, []).ready()",
    "pool.map_async(identity, []).successful()",
    "pool.join()",
    "pickle.dumps(pool)",
    "pool.apply(identity, (pool,))",
    "repr(pool)",
    "pool._processes",
    "len(pool._pool)",
    "[process.name for process in pool._pool]",
    "[process.daemon for process in pool._pool]",
    "[process.is_alive() for process in pool._pool]",
    "[process.exitcode for process in pool._pool]",
    "sorted(process.name for process in mp.active_children())",
    "pool.not_there",
    "mp.pool.ThreadPool(1).map(identity, [1, 2])",
    "mp.pool.ThreadPool(2).apply(counted_calls, (1,))",
    "mp.Pool(1).apply(identity, (1,))",
    "pool.apply(own_pool, (1,))",
    "pool.apply(printed, ([1],))",
    "pool.map(printed, 'ab', 1)",
    "pool.apply(atexit_registered, (1,))",
    "pool.apply(about_process, (os.getpid(),))",
    "context.Pool(0)",
    "context.Pool(-1)",
    "context.Pool('a')",
    "context.Pool(1, initializer=5)",
    "context.Pool(1, maxtasksperchild=0)",
    "context.Pool(1, maxtasksperchild='a')",
    "asked_by_thread(lambda: pool.map(identity, range(3)))",
    "asked_by_thread(lambda: pool.apply(counted_calls, (1,)))",
    "forked_child(lambda: 'nothing')",
    "isinstance(pool, mp.pool.Pool)",
    "type(pool).__name__",
    "type(pool.map_async(identity, (1,))).__name__",
    "type(pool.imap(identity, (1,))).__name__",
)

AFTER_END = (
    "pool.apply(identity, (1,))",
    "pool.map(identity, [1])",
    "pool.imap(identity, [1])",
    "pool.join()",
    "pool.close()",
    "pool.terminate()",
    "repr(pool)",
    "pool.__enter__() is pool",
    "len(mp.active_children())",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    data: dict[str, Any] = {
        "processes": random.choice([1, 1, 1, 2, 3]),
        "functions": [_function(random) for _ in range(3)],
        "steps": [],
        "end": random.choice(ENDS),
    }
    if random.random() < 0.2:
        data["initializer"] = [_value(random) for _ in range(random.randint(0, 2))]
    if random.random() < 0.15:
        data["maxtasks"] = random.choice([1, 2, 5])
    for _ in range(random.randint(1, 5)):
        data["steps"].append(_step(random, data))
    if names_in(data["steps"] + data["functions"]) & values.WORKER_STATE:
        data["processes"] = 1
    if "maxtasks" in data:
        # Who has left and who has come is chance.
        data["steps"] = [step for step in data["steps"] if not _asks_for_workers(step)]
    if data["processes"] > 1:
        _make_steady(random, data)
    dice = random.random()
    if dice < 0.035:
        data["steps"].append(_doom(random))
        data["end"] = "leave"
    elif dice < 0.037:
        # The standard library starts workers for ever.
        data["steps"] = [{"op": "apply_async", "function": "nothing", "args": ["1"], "doom": True}]
        data |= {"initializer": ["1"], "raises": True, "end": "leave"}
    if data["end"] in ("join", "terminate") and random.random() < 0.3:
        data["after"] = random.sample(AFTER_END, 2)
    return data


def _value(random: Random) -> Expression:
    found = values.value(random)
    return found if random.random() < 0.97 else random.choice(values.REFUSED)


def _function(random: Random) -> Expression:
    found = values.function(random)
    return _function(random) if names_in(found) & values.POISON else found


def _step(random: Random, data: dict[str, Any]) -> dict[str, Any]:
    dice = random.random()
    if dice < 0.12:
        return {"op": "misuse", "call": random.choice(MISUSES)}
    if dice < 0.17:
        return {"op": "change", "what": random.choice(CHANGES)}
    function: Expression = random.choice(["f0", "f0", "f1", "f2"])
    if random.random() < 0.1:
        function = _function(random)
    if dice < 0.42:
        return {
            "op": random.choice(["apply", "apply", "apply_async"]),
            "function": "raise_given" if random.random() < 0.2 else function,
            "args": [_argument(random)],
            "callbacks": random.choice([None, None, "both", "good", "bad", "raising"]),
        }
    if dice < 0.5:
        return {
            "op": random.choice(["apply", "apply_async"]),
            "function": random.choice(["joined", "joined", "swapped", "keyword_only"]),
            "args": [_value(random) for _ in range(random.randint(0, 3))],
            "kwds": [["=", random.choice(["factor", "b"]), _value(random)]]
            if random.random() < 0.5
            else [],
            "callbacks": None,
        }
    if dice < 0.58:
        return {
            "op": random.choice(["starmap", "starmap_async"]),
            "function": random.choice(["joined", "joined", "swapped", "Pair", "first_is_second"]),
            "source": values.arguments_source(random),
            "chunksize": _chunksize(random),
            "callbacks": random.choice([None, None, "both"]),
        }
    if dice < 0.6:
        # The function fails for none: an item that is refused may be looked at before others.
        return {
            "op": random.choice(["map", "map_async", "imap"]),
            "function": random.choice(["identity", "seen"]),
            "source": ["list", "1", random.choice(values.REFUSED)],
            "chunksize": random.choice([1, 2]),
            "callbacks": None,
            "taken": None,
        }
    if dice < 0.8:
        return {
            "op": random.choice(["map", "map", "map_async"]),
            "function": function,
            "source": _source(random),
            "chunksize": _chunksize(random),
            "callbacks": random.choice([None, None, "both", "good", "bad"]),
        }
    return {
        "op": random.choice(["imap", "imap", "imap_unordered"]),
        "function": function,
        "source": _source(random),
        "chunksize": random.choice([None, 1, 2, 3, 1000]),
        "taken": random.choice([None, None, None, 1, 0]),
    }


def _asks_for_workers(step: dict[str, Any]) -> bool:
    return bool(names_in(step.get("call", "")) & {"_pool", "active_children", "about_process"})


def _make_steady(random: Random, data: dict[str, Any]) -> None:
    """See to it that not several chunks of a call fail: which fails first is chance."""
    for step in data["steps"]:
        several = step["op"] in ("map", "map_async") and step["chunksize"] != 1000
        # The iterator ends with the first of them.
        ending = step["op"] == "imap_unordered" and step["chunksize"] not in (None, 1)
        if several or ending:
            step["function"] = random.choice(values.TOTAL_FUNCTIONS)
        elif step["op"] in ("starmap", "starmap_async"):
            step["function"], step["chunksize"] = "joined", 1000


CHANGES = (
    "global total; total = 100",
    "seen_before.append(2)",
    "f0.base = 'changed'",
    "f1.base = 'changed'",
    "f0.items.append('by the caller')",
    "f0.args[0].append('by the caller')",
    "counted_calls.calls = 50",
    "accumulated.__defaults__[0].append('by the caller')",
    "os.environ['CHANGED_BY_MAIN'] = 'yes'",
    "os.chdir('/')",
    "sys.argv.append('more')",
    "Adder.class_calls = 70",
    "numpy.random.seed(3)",
    "sys.setrecursionlimit(900)",
)


def _argument(random: Random) -> Expression:
    if random.random() < 0.2:
        return values.exception(random)
    return _value(random)


def _source(random: Random) -> Expression:
    if random.random() < 0.1:
        return ["list", *(values.exception(random) for _ in range(random.randint(1, 3)))]
    return values.source(random)


def _chunksize(random: Random) -> int | None:
    return random.choice([None, None, 1, 1, 2, 3, 7, 1000])


def _doom(random: Random) -> dict[str, Any]:
    """A call that may never end under plain Python."""
    what = random.randrange(6)
    argument: Expression = "1"
    function: Expression = "identity"
    if what == 0:
        argument = "DoesNotUnpickle()" if random.random() < 0.5 else ["list", "PicklesElsewhere()"]
    elif what == 1:
        function = str(random.choice(values.DOOMED_FUNCTIONS))
    elif what == 2:
        function = str(random.choice(["killed", "leave"]))
    else:
        function = ["functools.partial", "raising", random.choice(values.POISONED_EXCEPTIONS)]
    op = random.choice(["apply_async", "apply_async", "map_async", "imap"])
    step = {"op": op, "function": function, "doom": True}
    if op == "apply_async":
        return step | {"args": [argument]}
    return step | {"source": ["list", argument]}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    made = [str(data["processes"])]
    if "initializer" in data:
        initializer = "set_marker_then_raise" if data.get("raises") else "set_marker"
        made += [initializer, text_of(["tuple", *data["initializer"]])]
    if "maxtasks" in data:
        made.append(f"maxtasksperchild={data['maxtasks']}")
    used = names_in(data["steps"])
    lines = [
        f"f{number} = {text_of(function)}"
        for number, function in enumerate(data["functions"])
        if f"f{number}" in used
    ]
    ending = data["end"]
    steps: list[str] = []
    for number, step in enumerate(data["steps"]):
        steps += _render_step(number, step, data)
    if ending == "with":
        lines.append(f"with context.Pool({', '.join(made)}) as pool:")
        lines += [f"    {line}" for line in steps or ["pass"]]
        lines.append('show("end", lambda: repr(pool))')
    else:
        lines.append(f"pool = context.Pool({', '.join(made)})")
        lines += steps
    if ending in ("join", "terminate"):
        lines.append("pool.close()" if ending == "join" else "pool.terminate()")
        lines.append("pool.join()")
        lines.append('show("end", lambda: repr(pool))')
        for number, step in enumerate(data["steps"]):
            if _counts(step) and (ending == "join" or step.get("taken") is None):
                lines.append(f'show("{number} taken", lambda: taken{number})')
    for number, call in enumerate(data.get("after", ())):
        lines.append(f'show("after {number}", lambda: {call})')
    if ending == "exit":
        lines.append("sys.exit(3)")
    elif ending == "leave":
        lines.append("os._exit(4)")
    elif ending == "del":
        lines += ["del pool", 'say("end", "deleted")']
    return lines


def _counts(step: dict[str, Any]) -> bool:
    return "counted" in names_in(step.get("source", ""))


def _render_step(number: int, step: dict[str, Any], data: dict[str, Any]) -> list[str]:
    op = step["op"]
    if op == "misuse":
        return [f'show("{number} misuse", lambda: {step["call"]})']
    if op == "change":
        return _change(number, step["what"])
    lines = []
    if _counts(step):
        lines.append(f"taken{number} = []")
    function = text_of(step["function"])
    label = f"{number} {op}"
    given = _given(number, step)
    asked = step.get("doom", False)
    if op in ("imap", "imap_unordered"):
        call = f"pool.{op}({function}, {given})"
        if asked:
            return [*lines, f'show("{label}", lambda: {call}.next(PATIENCE))']
        if step["taken"] is None:
            results = f"drain({call})"
            if op == "imap_unordered" and data["processes"] > 1:
                results = f"sorted({results})"
            lines.append(f'show("{label}", lambda: {results})')
        else:
            lines += [
                "try:",
                f"    results{number} = {call}",
                "except Exception as error:",
                f'    say("{label} call", f"raised {{describe(error)}}")',
                f"    results{number} = iter(())",
            ]
            if step["taken"] and (op == "imap" or data["processes"] == 1):
                lines.append(f'show("{label}", lambda: drain(results{number}, 1))')
    elif op.endswith("_async"):
        lines += _asynchronously(number, label, op, function, given, step)
    else:
        lines.append(f'show("{label}", lambda: pool.{op}({function}, {given}))')
    if isinstance(step["function"], str) and step["function"] in ("f0", "f1", "f2"):
        lines.append(f'show("{number} caller", lambda: {step["function"]})')
    return lines


def _given(number: int, step: dict[str, Any]) -> str:
    if "args" in step:
        given = text_of(["tuple", *step["args"]])
        if step.get("kwds"):
            given += f", {text_of(['dict_of', *step['kwds']]).replace('dict_of', 'dict')}"
        return given
    given = text_of(step["source"]).replace("taken", f"taken{number}")
    if step.get("chunksize") is not None:
        given += f", {step['chunksize']}"
    return given


def _asynchronously(
    number: int, label: str, op: str, function: str, given: str, step: dict[str, Any]
) -> list[str]:
    name = f"result{number}"
    if step.get("doom"):
        lines = [f"{name} = pool.{op}({function}, {given})"]
        return [*lines, f'show("{label}", lambda: {name}.get(PATIENCE))']
    callbacks, before = step.get("callbacks"), []
    if callbacks:
        before.append(f"calls{number} = []")
        if callbacks in ("both", "good"):
            given += f", callback=notes_of(calls{number}, 'callback')"
        if callbacks in ("both", "bad"):
            given += f", error_callback=notes_of(calls{number}, 'error')"
    lines = [
        *before,
        f"def ask{number}():",
        f"    result = pool.{op}({function}, {given})",
        "    result.wait()",
        f'    say("{label} state", describe((result.ready(), result.successful())))',
        "    return result.get()",
        f'show("{label}", ask{number})',
    ]
    if callbacks and callbacks != "raising":
        lines.append(f'show("{label} calls", lambda: calls{number})')
    return lines


def _change(number: int, what: str) -> list[str]:
    if what.startswith("global"):
        return ["globals()['total'] = 100"]
    return [
        "with contextlib.suppress(Exception):",
        f"    {what}",
    ]
