"""Processes."""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values
from fuzzer.program import Expression, text_of

TARGETS: tuple[Expression, ...] = (
    "tell",
    "tell",
    "tell",
    "tell_about_self",
    "raise_given",
    "raise_given",
    "sys.exit",
    "sys.exit",
    "nested_process",
    "own_pool",
    "thread_that_lives_on",
    "child_process",
    "atexit_registered",
    "raise_from",
    "raise_group",
    ["functools.partial", "tell", "1"],
    ["Adder", "1"],
    [".method", ["Adder", "1"]],
    "(lambda *args: tell('lambda', *args))",
    "None",
    "5",
)

EXITS = "None 0 1 2 255 256 -1 True False 'text' [1] 1.5 (1,) '' Plain()".split()

# The first two not before the start: the process prints at its own time.
CALLS = (
    "process.start()",
    "process in mp.active_children()",
    "repr(process).replace(str(process.pid), 'PID').replace(str(os.getpid()), 'MAIN')",
    "process.join()",
    "process.join(0)",
    "process.join(timeout=-1)",
    "process.exitcode",
    "process.is_alive()",
    "process.name",
    "process.daemon",
    "process.pid is None",
    "process.ident == process.pid",
    "process.sentinel > 0",
    "process.terminate()",
    "process.kill()",
    "process.close()",
    "setattr(process, 'name', 'renamed')",
    "setattr(process, 'name', 5)",
    "setattr(process, 'daemon', True)",
    "setattr(process, 'exitcode', 3)",
    "process.run()",
    "process.authkey == mp.current_process().authkey",
    "pickle.dumps(process)",
    "mp.active_children()",
    "mp.current_process().name",
    "mp.parent_process()",
    "isinstance(process, mp.Process)",
    "isinstance(process, mp.process.BaseProcess)",
    "mp.connection.wait([process.sentinel], 60) == [process.sentinel]",
)

MADE = (
    "context.Process(target=tell, args=5)",
    "context.Process(5)",
    "context.Process(target=tell, name=5).name",
    "context.Process(target=tell, daemon=True).daemon",
    "context.Process(target=tell, kwargs=[1])",
    "context.Process().name",
    "finished(context.Process())",
    "finished(OwnProcess([1, 2]))",
    "finished(context.Process(target=kill_self, args=(9,)))",
    "finished(context.Process(target=kill_self, args=(15,)))",
    "finished(context.Process(target=kill_self, args=(6,)))",
    "finished(context.Process(target=leave, args=(7,)))",
    "finished(context.Process(target=forked, args=(1,)))",
    "forked_child(lambda: finished(context.Process(target=tell)))",
    "forked_child(lambda: mp.current_process().name)",
    "asked_by_thread(lambda: finished(context.Process(target=tell)))",
    "in_child(lambda: mp.current_process().name)",
    "mp.cpu_count() > 0",
    "mp.get_start_method(allow_none=True)",
    "context.get_start_method()",
    "mp.get_all_start_methods()",
    "mp.get_context('none')",
    "mp.set_start_method('none')",
    "mp.freeze_support()",
    "mp.get_logger().name",
    "mp.process.active_children is mp.active_children",
    "mp.util.get_logger() is mp.get_logger()",
    "type(context).__name__",
    "context.cpu_count() == mp.cpu_count()",
    "mp.reducer.__name__",
    "issubclass(mp.TimeoutError, mp.ProcessError)",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    steps: list[dict[str, Any]] = []
    for _ in range(random.randint(1, 3)):
        if random.random() < 0.3:
            steps.append({"op": "call", "call": random.choice(MADE)})
            continue
        target = random.choice(TARGETS)
        if target == "sys.exit":
            args: list[Expression] = [random.choice(EXITS)]
        elif target == "raise_given":
            poisoned = random.random() < 0.3
            args = [
                random.choice(values.POISONED_EXCEPTIONS) if poisoned else values.exception(random)
            ]
        else:
            count = 1 if target in ("nested_process", "own_pool", "child_process") else 2
            args = [values.value(random) for _ in range(random.randint(1, count))]
        steps.append(
            {
                "op": "process",
                "target": target,
                "args": args,
                "kwargs": [["=", "key", values.value(random, 1)]] if target == "tell" else [],
                "name": random.choice([None, None, "'named'", "'ä'"]),
                "daemon": random.choice([None, None, None, "True", "False"]),
                "before": random.sample(CALLS[2:], random.randint(0, 2)),
                "after": random.sample(CALLS, random.randint(0, 3)),
            }
        )
    return {"steps": steps, "end": random.choice(["nothing", "nothing", "exit", "child", "raise"])}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    lines: list[str] = []
    for number, step in enumerate(data["steps"]):
        if step["op"] == "call":
            lines.append(f'show("{number} call", lambda: {step["call"]})')
        else:
            lines += _render_process(number, step)
    ends = {
        "exit": ["sys.exit(3)"],
        # It is joined when the program ends.
        "child": ["context.Process(target=thread_that_lives_on, args=(1,)).start()"],
        "raise": ["raise Custom('the end')"],
    }
    return lines + ends.get(data["end"], [])


def _render_process(number: int, step: dict[str, Any]) -> list[str]:
    made = [f"target={text_of(step['target'])}", f"args={text_of(['tuple', *step['args']])}"]
    if step["kwargs"]:
        made.append(f"kwargs={_keywords(step['kwargs'])}")
    made += [f"{key}={step[key]}" for key in ("name", "daemon") if step[key] is not None]
    lines = [f"process = context.Process({', '.join(made)})"]
    for index, call in enumerate(step["before"]):
        lines.append(f'show("{number} before {index}", lambda: {call})')
    lines += [
        "with contextlib.suppress(Exception):",
        "    process.start()",
        "with contextlib.suppress(Exception):",
        "    process.join()",
        f'show("{number} exit code", lambda: process.exitcode)',
    ]
    for index, call in enumerate(step["after"]):
        lines.append(f'show("{number} after {index}", lambda: {call})')
    return lines


def _keywords(given: list[Expression]) -> str:
    return text_of(["dict", "'key'", given[0][2]])
