"""Pipes. A model of what is on its way sees to it that no call waits for ever."""

from __future__ import annotations

from random import Random
from typing import Any

from fuzzer import values
from fuzzer.kinds.queues import SMALL
from fuzzer.program import Expression, text_of

CHECKS = (
    "{end}.poll()",
    "{end}.poll(0)",
    "{end}.poll(0.01)",
    "{end}.poll(-1)",
    "{end}.closed",
    "{end}.readable",
    "{end}.writable",
    "{end}.fileno() >= 0",
    "type({end}).__name__",
    "mp.connection.wait([{end}], 0) == [{end}]",
    "mp.connection.wait([a, b], 0) == []",
    "mp.connection.wait([], 0)",
    "{end}.send()",
    "{end}.send_bytes('text')",
    "{end}.send_bytes(5)",
    "{end}.send_bytes(b'abc', 4)",
    "{end}.send_bytes(b'abc', -1)",
    "{end}.send_bytes(b'abc', 1, 5)",
    "{end}.send_bytes(b'abc', 1, -1)",
    "{end}.recv_bytes(-1)",
    "{end}.recv_bytes_into(bytearray(4), 5)",
    "{end}.recv_bytes_into(bytearray(4), -1)",
    "{end}.send(DoesNotPickle())",
    "{end}.send(threading.Lock())",
    "{end}.not_there",
    "bool({end})",
)

BYTES = (
    "b''",
    "b'a'",
    "b'abc'*5000",
    "bytearray(b'ba')",
    "memoryview(b'mv')",
    "memoryview(b'mv')[::-1]",
    "numpy.arange(3, dtype='i2')",
    "numpy.arange(4, dtype='i2').reshape(2, 2)",
    "array.array('i', [1, 2])",
)


def generate(random: Random) -> dict[str, Any]:
    """Return a random program."""
    steps = [_step(random) for _ in range(random.randint(2, 8))]
    return {"duplex": random.choice([None, True, True, False]), "steps": steps}


def _step(random: Random) -> dict[str, Any]:
    dice = random.random()
    end = random.choice("ab")
    if dice < 0.3:
        return {"op": "send", "end": end, "value": _value(random)}
    if dice < 0.4:
        offset = random.choice([None, None, (0,), (1,), (0, 1), (1, 1)])
        return {"op": "send_bytes", "end": end, "value": random.choice(BYTES), "part": offset}
    if dice < 0.65:
        return {"op": "receive", "end": end, "how": random.choice(HOWS)}
    if dice < 0.82:
        return {"op": "check", "call": random.choice(CHECKS).replace("{end}", end)}
    if dice < 0.88:
        return {"op": "close", "end": end}
    if dice < 0.94:
        return {"op": "echo", "value": _value(random)}
    return {"op": "task", "end": end, "value": _value(random)}


# Ways to receive; the last ones may find that a message is too long, which ends the connection.
HOWS = (
    "{end}.recv()",
    "{end}.recv()",
    "{end}.recv_bytes()",
    "{end}.recv_bytes(1 << 20)",
    "(lambda buffer: ({end}.recv_bytes_into(buffer), buffer))(bytearray(20000))",
    "(lambda buffer: ({end}.recv_bytes_into(buffer, 3), buffer))(bytearray(20000))",
    "{end}.recv_bytes_into(array.array('d', [0.0] * 4000))",
    "{end}.recv_bytes_into(bytearray(1))",
    "{end}.recv_bytes(1)",
    "{end}.recv_bytes(0)",
)


def _value(random: Random) -> Expression:
    if random.random() < 0.1:
        return values.exception(random)
    return random.choice(SMALL)


class _Model:
    """What is on its way to each end: messages of pickles or of bytes."""

    def __init__(self, duplex: bool) -> None:
        self.sends = {"a": duplex, "b": True}
        self.receives = {"a": True, "b": duplex}
        self.waiting: dict[str, list[str]] = {"a": [], "b": []}
        self.closed: set[str] = set()
        self.broken = False

    def other(self, end: str) -> str:
        return "b" if end == "a" else "a"


def render(data: dict[str, Any]) -> list[str]:
    """Return the lines of `main`."""
    duplex = data["duplex"] is not False
    lines = [f"a, b = context.Pipe({'' if data['duplex'] is None else data['duplex']})"]
    model = _Model(duplex)
    for number, step in enumerate(data["steps"]):
        if model.broken:
            break
        lines += _render_step(number, step, model)
    return lines


def _render_step(number: int, step: dict[str, Any], model: _Model) -> list[str]:
    op = step["op"]
    label = f"{number} {op}"
    if op in ("send", "send_bytes"):
        end = step["end"]
        parts = ", ".join([text_of(step["value"]), *map(str, step.get("part") or ())])
        if end not in model.closed and model.sends[end]:
            other = model.other(end)
            if other not in model.closed:
                certain = _is_sent(step)
                if certain is None:
                    return []
                if certain:
                    model.waiting[other].append(op)
        return [f'show("{label}", lambda: {end}.{op}({parts}))']
    if op == "receive":
        return _render_receive(label, step, model)
    if op == "check":
        return [f'show("{label}", lambda: {step["call"]})'] if _is_safe(step, model) else []
    if op == "close":
        end = step["end"]
        lost = bool(model.waiting[end])
        model.closed.add(end)
        if lost:
            # The standard library's other end is reset, when it looks.
            model.broken = True
        return [f'show("{label}", lambda: {end}.close())']
    if model.closed or model.waiting["a"] or model.waiting["b"]:
        return []
    if op == "echo" and model.sends["a"]:
        return [
            "process = context.Process(target=echo, args=(b, 1))",
            "process.start()",
            f"a.send({text_of(step['value'])})",
            f'show("{label}", a.recv)',
            "process.join()",
            f'show("{label} exit", lambda: process.exitcode)',
        ]
    return []


def _is_sent(step: dict[str, Any]) -> bool | None:
    """Whether bytes are sent; None where an error depends on the value."""
    if step["op"] == "send":
        return True
    if step["part"] and step["value"] == "b''":
        return None
    if "[::-1]" in step["value"] or step["value"] == "numpy.arange(4, dtype='i2').reshape(2, 2)":
        return None
    return None if step["part"] == (1, 1) and step["value"] == "b'a'" else True


def _render_receive(label: str, step: dict[str, Any], model: _Model) -> list[str]:
    end, how = step["end"], step["how"]
    open_end = end not in model.closed
    if open_end and model.receives[end]:
        waiting = model.waiting[end]
        if not waiting and model.other(end) not in model.closed:
            return []
        if waiting:
            kind = waiting.pop(0)
            if kind == "send_bytes" and ".recv()" in how:
                how = "{end}.recv_bytes()"
            elif kind == "send" and "into" in how:
                # The pickles themselves are of another protocol.
                how = "{end}.recv()"
            elif kind == "send":
                how = how.replace("recv_bytes()", "recv()").replace("recv_bytes(1 << 20)", "recv()")
            if "(bytearray(1))" in how or "(1)" in how or "(0)" in how:
                model.broken = True
    return [f'show("{label}", lambda: {how.replace("{end}", end)})']


def _is_safe(step: dict[str, Any], model: _Model) -> bool:
    """Whether a call changes nothing of what the model knows."""
    call = step["call"]
    end = "a" if "a." in call.replace("array.", "") else "b"
    if "recv_bytes" in call and "-1" in call and "into" not in call:
        return not model.waiting[end]
    if "wait([a, b]" in call:
        return not model.closed
    return True
