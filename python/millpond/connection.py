"""`multiprocessing.connection` with `Pipe`, `Connection` and `wait` on millpond's engine.

`Listener`, `Client` and the rest are the standard library's, and so are the connections that they
make. Both kinds may stand in one list for `wait`.
"""

from __future__ import annotations

import io
from multiprocessing import connection as _stdlib
from multiprocessing import reduction
from multiprocessing.connection import Client, Listener
from multiprocessing.context import get_spawning_popen

from millpond._version import load_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import millpond._engine as _engine
else:
    _engine = load_engine()

# While millpond is installed, the module's attribute is ours.
_StdlibConnection: Any = vars(_stdlib)["Connection"]

__all__ = ["Client", "Connection", "Listener", "Pipe", "wait"]


class _ConnectionType(type):
    """Makes `Connection` stand for the standard library's too, wherever a program names it."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        handle = args[0] if args else kwargs.get("handle")
        # A descriptor that is no pipe of the engine's, a stream socket say, is for the
        # standard library, which also tells what is wrong with one that is none at all.
        if cls is Connection and not (type(handle) is int and _engine.is_pipe(handle)):
            return _StdlibConnection(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Connection:
            return isinstance(instance, _StdlibConnection)
        return super().__instancecheck__(instance)


class Connection(_engine.Connection, _StdlibConnection, metaclass=_ConnectionType):  # type: ignore[misc]
    """One end of a pipe, which sends and receives objects and bytes.

    A message is sent whole or not at all, and received whole by one receiver, however many
    processes and threads use the end. When the last process that has the other end is gone, `recv`
    raises `EOFError` after all that was sent was received, and `send` raises `BrokenPipeError`.

    Large arrays arrive without a copy: they lie in shared memory that goes back to the sender when
    the last view of it is gone.

    Example:
        >>> import millpond
        >>> left, right = millpond.Pipe()
        >>> left.send({"answer": 42})
        >>> right.recv()
        {'answer': 42}
        >>> left.close()
        >>> right.recv()
        Traceback (most recent call last):
        EOFError
        >>> right.close()
    """

    def __init__(self, handle: int, readable: bool = True, writable: bool = True) -> None:
        """Own the descriptor `handle` of a pipe's end.

        Raises:
            ValueError: it is none, or the end is to be neither readable nor writable.
        """
        # The engine's `__new__` did all of it.

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        duplicate = reduction.DupFd(self.fileno())
        shared = self._rings()
        if shared is not None:
            rings, side = shared
            rings = _duplicate_of(rings)
            shared = None if rings is None else (rings, side)
        return _rebuild, (type(self), duplicate, self.readable, self.writable, shared)

    # What the standard library's own functions use.

    def _close(self) -> None:
        self.close()

    def _send_bytes(self, buf: Any) -> None:
        self.send_bytes(buf)

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO:
        return io.BytesIO(self.recv_bytes(maxsize))

    def _poll(self, timeout: float | None) -> bool:
        return self.poll(timeout)


def _rebuild(
    kind: type[Connection],
    duplicate: Any,
    readable: bool,
    writable: bool,
    shared: tuple[Any, int] | None,
) -> Connection:
    connection = kind(duplicate.detach(), readable, writable)
    if shared is not None:
        rings, side = shared
        connection._attach(_rings_of(rings), side)
    return connection


# The forkserver takes some 250 descriptors for a process. Once so many were given away there is
# none for the memory of further pipes, so that about as many connections fit as do without it.
_MOST_WITH_RINGS = 32


def _duplicate_of(rings: _engine.Rings) -> Any:
    """Return what leads to a pipe's memory in another process.

    Both ends may go to a process that is being started, which gets each descriptor once. None for
    one that the forkserver starts and that gets many: a connection can do without the memory.
    """
    popen: Any = get_spawning_popen()
    if popen is None:
        return reduction.DupFd(rings.fileno())
    duplicates: dict[int, Any] = vars(popen).setdefault("_millpond_rings", {})
    if rings.fileno() not in duplicates:
        if popen.method == "forkserver" and len(popen._fds) >= _MOST_WITH_RINGS:
            return None
        duplicates[rings.fileno()] = reduction.DupFd(rings.fileno())
    return duplicates[rings.fileno()]


def _rings_of(duplicate: Any) -> _engine.Rings:
    kept = vars(duplicate)
    if "_millpond_rings" not in kept:
        kept["_millpond_rings"] = _engine.Rings(duplicate.detach())
    rings: _engine.Rings = kept["_millpond_rings"]
    return rings


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """Return two connections, the ends of a pipe.

    Args:
        duplex: whether both ends send and receive. Otherwise the first only receives, and the
            second only sends.

    Raises:
        OSError: no descriptor is left.

    Example:
        >>> from millpond.connection import Pipe
        >>> reader, writer = Pipe(duplex=False)
        >>> writer.send_bytes(b"hello")
        >>> reader.recv_bytes()
        b'hello'
    """
    *descriptors, rings = _engine.pipe()
    first = Connection(descriptors[0], True, duplex)
    second = Connection(descriptors[1], duplex, True)
    if rings is not None:
        first._attach(rings, 0)
        second._attach(rings, 1)
    return first, second


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait until one at least of some objects is ready, and return those that are.

    Args:
        object_list: connections of any kind, sockets, sentinels of processes, and whatever else
            is a descriptor or has a `fileno()`.
        timeout: seconds to wait at most; for ever by default.

    Returns:
        The objects that can be read from or have come to their end, in the order of
        `object_list`; nothing when the time ran out.

    Example:
        >>> import millpond
        >>> from millpond.connection import wait
        >>> left, right = millpond.Pipe()
        >>> wait([left, right], timeout=0)
        []
        >>> left.send("hello")
        >>> wait([left, right]) == [right]
        True
    """
    objects = list(object_list)
    awaited = [
        item if isinstance(item, _engine.Connection) else _descriptor(item) for item in objects
    ]
    ready = _engine.wait_readable(awaited, timeout)
    return [item for item, is_ready in zip(objects, ready, strict=False) if is_ready]


def _descriptor(item: Any) -> int:
    try:
        descriptor = item if isinstance(item, int) else int(item.fileno())
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"cannot wait for {item!r}: it has no descriptor") from None
    if descriptor < 0:
        raise ValueError(f"cannot wait for {item!r}: its descriptor is {descriptor}")
    return descriptor


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)
