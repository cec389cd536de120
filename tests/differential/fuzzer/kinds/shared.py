"""Shared data."""

from __future__ import annotations

from random import Random
from typing import Any

CODES = "c b B h H i I l L q Q f d".split()

INITIAL = "0 1 -1 255 256 2**40 -2**70 1.5 True None 'a' b'a' b'ab' 'ä' math.nan (1,) [1]".split()

CONTENTS = (
    "3 0 -1 [1,2,3] (1,2) range(4) [] b'abc' 'abc' [1.5] ['a'] [2**70] 1.5 None {1:2} "
    "numpy.arange(3) (x*x\tfor\tx\tin\trange(3)) array.array('i',[1,2]) [True,None]"
).split(" ")

VALUE_CALLS = (
    "it.value",
    "setattr(it, 'value', 5)",
    "setattr(it, 'value', 2.7)",
    "setattr(it, 'value', 'a')",
    "setattr(it, 'value', b'z')",
    "setattr(it, 'value', 2**65)",
    "setattr(it, 'value', -1)",
    "setattr(it, 'value', None)",
    "it.get_obj().value",
    "type(it.get_lock()).__name__",
    # It is given back at once: whoever holds it makes all others wait.
    "(it.get_lock().acquire(False), it.get_lock().release())",
    "(it.acquire(False), it.release())",
    "it.release()",
    "type(it).__name__",
    "type(it.get_obj()).__name__",
    "it.x",
    "setattr(it, 'x', 4)",
    "(it.__enter__(), it.__exit__(None, None, None))",
    "repr(it)",
    "it == it",
    "it.not_there",
    "del_value(it)",
    "pickle.dumps(it)",
    "ctypes.sizeof(it.get_obj())",
    "ctypes.sizeof(it)",
)

ARRAY_CALLS = (
    "it[:]",
    "list(it)",
    "len(it)",
    "it[0]",
    "it[-1]",
    "it[7]",
    "it[1:3]",
    "it[::-1]",
    "it['a']",
    "it.__setitem__(0, 9)",
    "it.__setitem__(-1, 8)",
    "it.__setitem__(7, 1)",
    "it.__setitem__(0, 'a')",
    "it.__setitem__(0, b'q')",
    "it.__setitem__(slice(0, 2), [5, 6])",
    "it.__setitem__(slice(0, 2), [5, 6, 7])",
    "it.__setitem__(slice(0, 2), b'xy')",
    "it.__setitem__(slice(None), it[:])",
    "it.value",
    "it.raw",
    "setattr(it, 'value', b'v')",
    "setattr(it, 'raw', b'r')",
    "setattr(it, 'value', b'far too long for this')",
    "5 in it",
    "sorted(it)",
    "it.get_obj()[0]",
    "numpy.frombuffer(it.get_obj(), dtype='u1')[:4]",
    "numpy.asarray(it.get_obj()).dtype",
    "memoryview(it.get_obj()).format",
    "type(it).__name__",
    "type(it.get_obj()).__name__",
    "type(it.get_lock()).__name__",
    "(it.get_lock().acquire(False), it.get_lock().release())",
    "it.append(1)",
    "it + it",
    "it == it[:]",
    "pickle.dumps(it)",
    "bool(it)",
)

LOCKS = ("", "", "", ", lock=True", ", lock=False", ", lock=context.Lock()", ", lock=5")

MEMORY_CALLS = (
    "it.size >= 10",
    "bytes(it.buf[:4])",
    "it.buf.__setitem__(0, 65)",
    "it.buf.__setitem__(slice(0, 2), b'hi')",
    "it.buf.__setitem__(0, 300)",
    "it.buf[10**9]",
    "it.buf.readonly",
    "it.buf.format",
    "isinstance(it.name, str)",
    "attached(it.name)",
    "numpy.ndarray((2,), 'i4', it.buf).tolist()",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    what = random.choice(["Value", "Value", "Array", "Array", "RawValue", "RawArray", "memory"])
    calls: tuple[str, ...] = MEMORY_CALLS
    if what == "memory":
        made = (
            f"mp.shared_memory.SharedMemory(create=True, size={random.choice([10, 4096, 70000])})"
        )
    else:
        code = (
            random.choice(CODES) if random.random() < 0.85 else random.choice(["x", "u", "", "ii"])
        )
        kind = repr(code)
        if random.random() < 0.2:
            kind = random.choice(
                ["ctypes.c_int", "ctypes.c_double", "Point", "ctypes.c_char", "int"]
            )
        lock = "" if what.startswith("Raw") else random.choice(LOCKS)
        if what.endswith("Value"):
            calls = VALUE_CALLS
            given = random.choice(["", *(f", {item}" for item in INITIAL[:6]), ", 3, 4"])
            if random.random() < 0.3:
                given = f", {random.choice(INITIAL)}"
            if lock == ", lock=5" and random.random() < 0.7:
                lock = ""
        else:
            calls = ARRAY_CALLS
            given = ", " + random.choice(CONTENTS).replace("\t", " ")
        made = f"context.{what}({kind}{given}{lock})"
    steps = [
        {"where": random.choice(["here", "here", "here", "child"]), "call": random.choice(calls)}
        for _ in range(random.randint(2, 8))
    ]
    pool = random.random() < 0.2 and what in ("Value", "Array")
    return {"what": what, "made": made, "steps": steps, "pool": pool}


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    lines = [
        "try:",
        f"    it = {data['made']}",
        "except Exception as error:",
        '    say("made", f"raised {describe(error)}")',
        "    return",
    ]
    for number, step in enumerate(data["steps"]):
        call = step["call"]
        if step["where"] == "child":
            call = f"in_child(lambda: {call})"
        lines.append(f'show("{number} {step["where"]}", lambda: {call})')
    if data["pool"]:
        task = "add_kept" if data["what"] == "Value" else "array_kept"
        lines += [
            "with context.Pool(1, kept, (it,)) as pool:",
            f'    show("pool", lambda: pool.map({task}, [0, 1], 1))',
            'show("after the pool", lambda: it[:] if hasattr(it, "__len__") else it.value)',
        ]
    if data["what"] == "memory":
        lines += ["it.close()", "it.unlink()"]
    return lines
