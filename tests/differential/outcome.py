"""What a random program sees, as text that can be compared.

    from outcome import PATIENCE, ProcessPoolExecutor, describe, show

`show` prints what a call returns or raises; `describe` is a text that tells apart what `repr` does
not: types, one object from two equal ones, what an exception carries.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
import types
from array import array
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from subject import mp
from subject import name as way

# Seconds after which a call that may never end is given up. Plain Python then hangs for certain;
# millpond has what it promises instead, on a busy machine too.
PATIENCE = 1.0 if way == "plain" else 30.0

# Programs take them from `mp`, as if they had been imported.
for _name in "connection managers pool process queues shared_memory synchronize util".split():
    importlib.import_module(f"{mp.__name__}.{_name}")

ProcessPoolExecutor: Any
if way == "plain":
    from concurrent.futures import ProcessPoolExecutor
else:
    from millpond import ProcessPoolExecutor

__all__ = ["PATIENCE", "ProcessPoolExecutor", "counted", "describe", "say", "show", "way"]

_LONGEST = 400
_NO_REPR: Any = object.__repr__
_SAY_NO_ATTRIBUTES: list[Any] = [
    kind.__repr__ for kind in (object, int, float, str, bytes, list, tuple, dict, set)
]
_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), range, slice)


def show(label: object, call: Callable[[], Any]) -> None:
    """Print what a call returns, or what it raises."""
    try:
        outcome = describe(call())
    except BaseException as error:
        outcome = f"raised {describe(error)}"
    say(label, outcome)


def say(label: object, text: str) -> None:
    """Print one line, whole, also where several processes print."""
    line = _comparable(f"{label}: {text}").replace("\n", "\\n")
    line = line.encode("utf-8", "backslashreplace").decode()
    sys.stdout.flush()
    os.write(1, f"{line}\n".encode())


def describe(value: object) -> str:
    """Return a text that is the same for two values if a program cannot tell them apart."""
    text = _comparable(_Description().of(value))
    if len(text) > _LONGEST:
        import hashlib

        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]
        text = f"{text[:_LONGEST]}… {len(text)} characters, {digest}"
    return text


class _Description:
    """Describes one value; objects that occur in it again are named by number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []

    def of(self, value: object) -> str:
        kind = type(value)
        if kind in _ATOMS:
            return repr(value)
        if isinstance(value, type):
            return f"<class {value.__module__}.{value.__qualname__}>"
        if isinstance(value, Enum):
            mine = getattr(sys.modules.get(kind.__module__), kind.__name__, None)
            return f"{value!r}{'' if mine is kind else ' of another class'}"
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.ModuleType):
            return _plain_name(value)
        if id(value) in self._numbers:
            return f"#{self._numbers[id(value)]}"
        self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)
        return self._composed(value, kind)

    def _composed(self, value: Any, kind: type) -> str:
        if isinstance(value, BaseException):
            return self._exception(value)
        if isinstance(value, types.MethodType):
            return f"<method {value.__func__.__qualname__} of {self.of(value.__self__)}>"
        if isinstance(value, functools.partial):
            return f"partial({self.of([value.func, value.args, value.keywords])})"
        if kind.__module__ == "numpy":
            return self._numpy(value)
        if isinstance(value, array | bytearray | memoryview):
            return f"{kind.__name__}({bytes(value)!r})"
        return f"{self._kind(kind)}{self._content(value)}{self._attributes(value)}"

    def _kind(self, kind: type) -> str:
        if kind in (list, tuple, dict, set, frozenset):
            return kind.__name__ if kind is frozenset else ""
        found: Any = sys.modules.get(kind.__module__)
        for part in kind.__qualname__.split("."):
            found = getattr(found, part, None)
        # A second copy of a class is another class.
        copied = "" if found is kind or "<locals>" in kind.__qualname__ else "another "
        return f"{copied}{kind.__qualname__}"

    def _content(self, value: Any) -> str:
        if isinstance(value, dict):
            pairs = [f"{self.of(key)}: {self.of(item)}" for key, item in value.items()]
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, set | frozenset):
            return "{" + ", ".join(sorted(describe(item) for item in value)) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.of, value)) + "]"
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.of, value)) + ")"
        for base in (int, float, str, bytes):
            if isinstance(value, base):
                return f"({base.__repr__(value)})"
        if type(value).__repr__ is _NO_REPR:
            return ""
        return f" {_without_addresses(repr(value))}"

    def _attributes(self, value: Any) -> str:
        attributes = getattr(value, "__dict__", None)
        if not attributes or type(value).__repr__ not in _SAY_NO_ATTRIBUTES:
            return ""
        return f" with {self.of(dict(attributes))}"

    def _exception(self, error: BaseException) -> str:
        parts = [f"{self._kind(type(error))}{self.of(error.args)}"]
        try:
            text = _without_addresses(str(error))
        except Exception as failure:
            text = f"(no text: {type(failure).__name__})"
        if text != str(error.args[0] if error.args else ""):
            parts.append(f"says {text!r}")
        attributes = dict(sorted(vars(error).items()))
        if attributes:
            parts.append(f"with {self.of(attributes)}")
        if isinstance(error, BaseExceptionGroup):
            parts.append(f"of {self.of(list(error.exceptions))}")
        cause = error.__cause__
        if cause is not None:
            # The standard library's has the traceback of the worker as its text.
            lines = [line for line in str(cause).splitlines() if line.strip(' "')]
            last = _without_addresses(lines[-1]) if lines else ""
            parts.append(f"from {type(cause).__name__} {last!r}")
        return " ".join(parts)

    def _numpy(self, value: Any) -> str:
        flags = getattr(value, "flags", None)
        if flags is None or not hasattr(value, "tobytes"):
            return f"numpy {type(value).__name__} {value!r}"
        marks = [
            "" if flags.writeable or not value.ndim else " read-only",
            " F" if flags.f_contiguous and not flags.c_contiguous else "",
        ]
        content = describe(value.tolist())
        return f"numpy {type(value).__name__} {value.dtype} {value.shape}{''.join(marks)} {content}"


def _plain_name(value: Any) -> str:
    where = getattr(value, "__module__", None)
    return f"<{type(value).__name__} {where}.{getattr(value, '__qualname__', value.__name__)}>"


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _comparable(text: str) -> str:
    """Leave out addresses and folders, and call millpond's modules what they stand for."""
    text = _without_addresses(text)
    text = re.sub(r"\bmillpond\.(?=[a-z])", "multiprocessing.", text)
    return re.sub(r"/[^' ]*/differential-\w+/", "", text)


def counted(source: Any, counter: list[Any]) -> Iterator[Any]:
    """Iterate over a source and note in `counter` what was taken from it."""
    for item in source:
        counter.append(item)
        yield item
