"""The plain codec's decoder reads what another process wrote: damage is an error, and no more."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from millpond import _engine

VALUES: list[Any] = [
    None,
    (True, False, 0, -1, 127, 128, 2**63 - 1, -(2**63)),
    (0.5, math.inf, "", "äöü", "x" * 300, b"", b"\x00\xff" * 50),
    [1, 2.5, ("nested", (b"deeper", (None,)))],
    tuple(range(200)),
    [("again", b"again"), *[("again " * 2, b"again " * 2)] * 3],
]
PLAIN = (type(None), bool, int, float, str, bytes)


def is_plain(value: Any) -> bool:
    """Whether the plain codec could have carried the value."""
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return isinstance(value, PLAIN)


def damaged(data: bytes, noise: random.Random) -> bytes:
    """The bytes with a few of them changed, cut off, repeated or added."""
    out = bytearray(data)
    for _ in range(noise.randint(1, 4)):
        at = noise.randrange(len(out) + 1)
        match noise.randrange(6):
            case 0:
                del out[at:]
            case 1:
                out[at:at] = noise.randbytes(noise.randint(1, 8))
            case 2:
                out[at : at + 4] = noise.choice([0, 1, 2**31, 2**32 - 1]).to_bytes(4, "little")
            case 3:
                out[at:at] = out[: noise.randint(0, 64)]
            case 4:
                # Tags are small numbers, marked or not.
                out[at : at + 1] = bytes([noise.randrange(16) | noise.choice([0, 0x80])])
            case _:
                del out[at : at + 1]
    return bytes(out)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_damaged_values_are_errors_or_other_values(value: Any) -> None:
    encoded = _engine.encode(value)
    assert encoded is not None
    assert _engine.decode(encoded) == value
    noise = random.Random(1)
    for _ in range(10_000):
        try:
            decoded = _engine.decode(damaged(encoded, noise))
        except (ValueError, MemoryError):
            continue
        assert is_plain(decoded)


def test_nesting_has_an_end() -> None:
    deep: Any = ()
    for _ in range(10):
        deep = (deep,)
    assert _engine.encode(deep) is None
    # As many tuples of one, each within the other, as a damaged message could have.
    shallow = _engine.encode(((),))
    assert shallow is not None
    one = shallow[: len(shallow) // 2]
    with pytest.raises(ValueError, match="damaged"):
        _engine.decode(one * 100_000 + one)
