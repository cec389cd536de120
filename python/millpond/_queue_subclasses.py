"""Subclasses of `multiprocessing`'s queues that rebuild what is inside of them.

Libraries (joblib's loky, torch) derive from `multiprocessing.queues.Queue`, and replace or use its
pipe, its locks or its thread. Millpond's queues have none of these. So a class whose body names
them gets the standard library's class as its base, on millpond's pipes and locks; it is as fast,
and fails, as it does there. Any other subclass is millpond's.
"""

from __future__ import annotations

from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["kind_of_queue"]

_INSIDE = frozenset(
    "_buffer _feed _finalize_close _finalize_join _joincancelled _jointhread _make_methods "
    "_notempty _opid _recv_bytes _reset _rlock _sem _send_bytes "
    "_start_thread _thread _wlock".split()
)
"""What the standard library's queues have, and ours do not."""

_TO_LOOK_AT = frozenset({"_reader", "_writer"})
"""What ours show, but nobody can replace."""


def kind_of_queue(original: type[Any], ours: type[Any]) -> type[type]:
    """Return the metaclass of the queue that stands in for one of the standard library.

    Args:
        original: the standard library's class.
        ours: millpond's.
    """

    class KindOfQueue(type):
        _stands_in = False

        def __new__(
            cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **keywords: Any
        ) -> Any:
            if not any(vars(base).get("_stands_in") for base in bases) or not _rebuilds(members):
                return super().__new__(cls, name, bases, members, **keywords)
            bases = tuple(original if vars(base).get("_stands_in") else base for base in bases)
            return type(name, bases, members, **keywords)

        # What was made before, or by such a subclass, is a queue of `multiprocessing`, too; and a
        # `JoinableQueue` is a `Queue`.

        def __instancecheck__(cls, instance: object) -> bool:
            return cls.__subclasscheck__(type(instance))

        def __subclasscheck__(cls, subclass: type) -> bool:
            return super().__subclasscheck__(subclass) or (
                bool(vars(cls).get("_stands_in")) and issubclass(subclass, (original, ours))
            )

    return KindOfQueue


def _rebuilds(members: dict[str, Any]) -> bool:
    """Return whether the body of a class defines, uses or replaces what is inside of a queue."""
    return not _INSIDE.isdisjoint(members) or any(
        not _INSIDE.isdisjoint(code.co_names) or _replaces_an_end(code)
        for member in members.values()
        for code in _codes(member)
    )


def _replaces_an_end(code: CodeType) -> bool:
    if _TO_LOOK_AT.isdisjoint(code.co_names):
        return False
    # Rarely needed, and not small.
    import dis

    return any(
        step.opname == "STORE_ATTR" and step.argval in _TO_LOOK_AT
        for step in dis.get_instructions(code)
    )


def _codes(member: Any) -> Iterator[CodeType]:
    """Yield the code of a member of a class, and of the functions inside of that."""
    functions: list[Callable[..., Any] | None] = [getattr(member, "__func__", member)]
    if isinstance(member, property):
        functions = [member.fget, member.fset]
    pending = [getattr(function, "__code__", None) for function in functions]
    while pending:
        code = pending.pop()
        if isinstance(code, CodeType):
            yield code
            pending += code.co_consts
