"""What a worker tells of a failure.

An account of a failure is a tuple of plain values, which always arrives: the class's name, the
text, the traceback, and whether the exception is one that ends programs. The pickled exception
comes along where it can be pickled. `_failures` rebuilds the exception in the caller.
"""

from __future__ import annotations

import traceback

from millpond import _codec

_LONGEST_TEXT = 10_000


def tell(exception: BaseException, skip: int = 1) -> tuple[bytes, bytes]:
    """Return the account of an exception, and the exception pickled (empty if it cannot be).

    Args:
        exception: what the task raised.
        skip: how many of the traceback's first frames are the worker's own.
    """
    from millpond import _engine

    shown = exception.__traceback__
    for _ in range(skip):
        shown = shown and shown.tb_next
    try:
        text = str(exception)
        lines = traceback.format_exception(type(exception), exception, shown)
    except Exception as error:
        # An exception whose own __str__ raises.
        text, lines = f"<its text cannot be had: {error!r}>", traceback.format_tb(shown)
    # Lone surrogates do not encode.
    name, text, trace = (
        part.encode("utf-8", "replace").decode()
        for part in (type(exception).__qualname__, text[:_LONGEST_TEXT], "".join(lines))
    )
    encoded = _engine.encode((name, text, trace, not isinstance(exception, Exception)))
    assert encoded is not None, "an account is plain values"
    try:
        [pickled] = map(bytes, _codec.dumps_in_band(exception))
    except Exception:
        pickled = b""
    return encoded, pickled


def unsendable(problem: Exception, value: object) -> BaseException:
    """Return the exception that says that a task's result cannot be sent."""
    from multiprocessing import pool as stdlib

    # The stubs of the standard library do not know it.
    error: BaseException = vars(stdlib)["MaybeEncodingError"](problem, _Shown(value))
    return error


class _Shown:
    """Stands in for a value where its `repr` is wanted, which may be long or fail."""

    def __init__(self, value: object) -> None:
        try:
            self._text = repr(value)[:_LONGEST_TEXT]
        except Exception as error:
            self._text = f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"

    def __repr__(self) -> str:
        return self._text
