"""`multiprocessing.connection` with `Pipe`, `Connection` and `wait` on millpond's engine.

`Listener`, `Client` and the rest are the standard library's, and so are the connections that they
make. `wait` takes both kinds of connections.
"""

from __future__ import annotations

import io
from multiprocessing import reduction
from multiprocessing.connection import Client, Listener
from multiprocessing.context import get_spawning_popen

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._generic import Parameter
from millpond._pickling import handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from inspect import Signature
    from multiprocessing.connection import Connection as _StdlibConnection
    from typing import Any, TypeVar, overload

    from _typeshed import FileDescriptorLike, HasFileno
    from typing_extensions import TypeVar as TypeVarWithDefault

    import millpond._engine as _engine

    SendT = TypeVarWithDefault("SendT", contravariant=True, default=Any)
    RecvT = TypeVarWithDefault("RecvT", covariant=True, default=Any)
    HasFilenoT = TypeVar("HasFilenoT", bound=HasFileno)
else:
    # While millpond is installed, the module's attribute is millpond's.
    _StdlibConnection = _cpython.get("multiprocessing.connection", "Connection")
    SendT = RecvT = Parameter
    _engine = load_engine()

__all__ = ["Client", "Connection", "Listener", "Pipe", "wait"]


class _ConnectionType(type):
    """Makes `Connection` stand for the standard library's class too.

    `isinstance` accepts connections of both kinds, and a call makes one of the standard library's
    from a descriptor that is not a pipe of the engine, such as a stream socket.
    """

    @property
    def __signature__(cls) -> Signature:
        # Not that of `__call__`.
        from inspect import signature

        own = signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=[*own.parameters.values()][1:])

    # To type checkers, a call of the class is what its `__init__` says.
    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            handle = args[0] if args else kwargs.get("handle")
            # The standard library raises the error of an invalid descriptor, too.
            if cls is Connection and not is_pipe(handle):
                return _StdlibConnection(*args, **kwargs)
            return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Connection:
            return isinstance(instance, _StdlibConnection)
        return super().__instancecheck__(instance)


def is_pipe(handle: object) -> bool:
    """Return whether *handle* is the descriptor of an end of a millpond pipe."""
    return type(handle) is int and _engine.is_pipe(handle)


class Connection(_engine.Connection[SendT, RecvT], _StdlibConnection, metaclass=_ConnectionType):
    """One end of a pipe, which sends and receives objects and bytes.

    A message is sent completely or not at all, and one receiver gets all of it, even if many
    processes and threads use the same end. Once no process has the other end open, `recv` raises
    `EOFError` after the last message, and `send` raises `BrokenPipeError`.

    Large arrays are received without a copy: they are views of shared memory, which the sender
    reuses when the last view is gone.

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
        """Take over the descriptor *handle* of a pipe's end.

        Raises:
            ValueError: *handle* is not a valid descriptor, or both *readable* and *writable* are
                false.
        """
        # The engine's `__new__` has done it.

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        own = self._rings()
        duplicate = None if own is None else _duplicate_of(own[0])
        shared = None
        # The number counts as known to anybody, unless it is known who gets the descriptor.
        number = self._shown
        if own is not None and duplicate is not None:
            rings, side = own
            given = handles.starts_one_process(get_spawning_popen())
            shared = (duplicate, side, given)
            if given:
                rings.give()
        if shared is None or not shared[2]:
            number = self.fileno
        state = (self.readable, self.writable, shared)
        return _rebuild, (type(self), handles.duplicate(number()), *state)

    def __repr__(self) -> str:
        if self.closed:
            state = "closed"
        else:
            ways = {"readable": self.readable, "writable": self.writable}
            state = ", ".join([f"fd={self._shown()}", *(way for way, can in ways.items() if can)])
        return f"<{type(self).__module__}.{type(self).__qualname__} {state}>"

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
    kind: type[Connection[Any, Any]],
    duplicate: Any,
    readable: bool,
    writable: bool,
    shared: tuple[Any, int, bool] | None,
) -> Connection[Any, Any]:
    connection = kind(duplicate.detach(), readable, writable)
    if shared is not None:
        rings, side, given = shared
        connection._attach(_rings_of(rings), side, given)
    return connection


# The fork server takes about 250 descriptors for a process. A process that gets this many gets no
# more of pipes' memory, so that about as many connections fit as without it.
_MOST_WITH_RINGS = 32


def _duplicate_of(rings: _engine.Rings) -> Any:
    """Return a duplicate of the descriptor of a pipe's memory, for another process.

    A process that is being started gets one duplicate for both ends of a pipe. None for a process
    that the fork server starts with many descriptors: a connection works without the memory.
    """
    popen: Any = get_spawning_popen()
    if popen is None:
        return handles.duplicate(rings.fileno())
    duplicates: dict[int, Any] = vars(popen).setdefault("_millpond_rings", {})
    if rings.fileno() not in duplicates:
        if getattr(popen, "method", None) == "forkserver" and len(popen._fds) >= _MOST_WITH_RINGS:
            return None
        duplicates[rings.fileno()] = reduction.DupFd(rings.fileno())
    return duplicates[rings.fileno()]


def _rings_of(duplicate: Any) -> _engine.Rings:
    kept = vars(duplicate)
    if "_millpond_rings" not in kept:
        kept["_millpond_rings"] = _engine.Rings(duplicate.detach())
    rings: _engine.Rings = kept["_millpond_rings"]
    return rings


def Pipe(duplex: bool = True) -> tuple[Connection[Any, Any], Connection[Any, Any]]:
    """Return two connections, the ends of a pipe.

    Args:
        duplex: whether both ends send and receive. If False, the first only receives and the second
            only sends.

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
    first: Connection[Any, Any] = Connection(descriptors[0], True, duplex)
    second: Connection[Any, Any] = Connection(descriptors[1], duplex, True)
    if rings is not None:
        first._attach(rings, 0, False)
        second._attach(rings, 1, False)
    return first, second


if TYPE_CHECKING:

    @overload
    def wait(object_list: Iterable[int], timeout: float | None = None) -> list[int]: ...
    @overload
    def wait(
        object_list: Iterable[HasFilenoT], timeout: float | None = None
    ) -> list[HasFilenoT]: ...
    @overload
    def wait(
        object_list: Iterable[FileDescriptorLike], timeout: float | None = None
    ) -> list[Any]: ...


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait until at least one of several objects is ready, and return those that are.

    Args:
        object_list: connections of any kind, sockets, sentinels of processes, and other descriptors
            and objects with a method `fileno()`.
        timeout: how many seconds to wait at most; None waits without a limit, and 0 or less does
            not wait.

    Returns:
        The objects that can be read or are at their end of file, in the order of *object_list*; an
        empty list if the time ran out.

    Raises:
        ValueError: an object has no descriptor, or the timeout is nan.
        OSError: a connection is closed.

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
    awaited: list[int | _engine.Connection] = [
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


if not TYPE_CHECKING:
    __getattr__ = _cpython.names_of_stdlib(__name__)
