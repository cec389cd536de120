"""Pickling by value: what a receiver could not find by its name.

Plain pickle sends functions and classes as references: a module and a name in it. What has no such
name (lambdas, closures, local classes), or is in a `__main__` that the receiver cannot import,
travels by value, through cloudpickle. Two rules keep its meaning:

- A function or class of `__main__` that the receiver has is sent as a reference all the same. So
  `is`, `isinstance` and `except` mean there what they mean here.
- A class that went by value has an id. It is made once in each process, and where it came from
  recognises it: instances that come back are instances of the sender's own class.
"""

from __future__ import annotations

import io
import linecache
import os
import sys
import types
import weakref
from collections import ChainMap
from functools import cache
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType
    from typing import Any, TypeVar

    T = TypeVar("T")

PLAIN = (FunctionType, BuiltinFunctionType, type)
"""The types of callables that pickle sends as references."""

_enabled = True


def enable(enabled: bool) -> None:
    """Have this process pickle by value what does not go by reference, or refuse it."""
    global _enabled
    _enabled = bool(enabled)


def is_enabled() -> bool:
    """Return whether this process pickles by value what does not go by reference."""
    return _enabled


def is_importable_main() -> bool:
    """Return whether another process can import this one's `__main__`, to find functions in it."""
    main = sys.modules["__main__"]
    return getattr(main, "__spec__", None) is not None or hasattr(main, "__file__")


def find(module: str | None, qualname: str) -> object:
    """Return what a module that is loaded has under a qualified name, or None."""
    found: object = sys.modules.get(module) if module else None
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def is_reachable(value: Any) -> bool:
    """Return whether a function or class is what its module has under its name."""
    qualname = getattr(value, "__qualname__", None)
    module = getattr(value, "__module__", None)
    return isinstance(qualname, str) and find(module, qualname) is value


class MainOfWorkers:
    """What a pool's workers have in `__main__`: which of its functions and classes they know.

    Forked workers have what there was when the pool was made. New interpreters import the module,
    where they can.
    """

    def __init__(self, method: str) -> None:
        self._importable = is_importable_main()
        self._forked: dict[str, Callable[[], object]] | None = None
        if method == "fork":
            self._forked = {
                name: weakref.ref(value)
                for name, value in list(vars(sys.modules["__main__"]).items())
                if isinstance(value, FunctionType | type)
            }

    @property
    def may_lack(self) -> bool:
        """Whether something of `__main__` that pickle refers to might not be there."""
        return _enabled and not self._importable

    def has(self, value: Any) -> bool:
        """Return whether workers find this function or class of `__main__`, and just this one."""
        if not is_reachable(value):
            return False
        if self._forked is None:
            return self._importable
        name, _, _ = value.__qualname__.partition(".")
        known = self._forked.get(name)
        return known is not None and known() is vars(sys.modules["__main__"]).get(name)


def pickler(main: MainOfWorkers | None, *, is_seeded: bool = False) -> Callable[..., Any]:
    """Return a pickler class like `pickle.Pickler`.

    Args:
        main: what the receivers have in `__main__`. None if they may be any processes: then they
            look for themselves.
        is_seeded: whether the receivers seed the generators that all of a process shares.
    """

    def make(*args: Any, **kwargs: Any) -> Any:
        made = _pickler_class(is_seeded)(*args, **kwargs)
        made.main = main
        return made

    return make


@cache
def _pickler_class(is_seeded: bool) -> Any:
    # Importing it takes some time, and most programs never need it.
    import cloudpickle

    from millpond._pickling import generators
    from millpond._pickling.codec import REDUCERS

    # Of the first two, cloudpickle would make something else: bytes, and a text that is no file.
    others: dict[Any, Any] = {memoryview: _refuse, io.TextIOWrapper: _reduce_stream}
    reduce_code = cloudpickle.Pickler.dispatch_table[types.CodeType]

    def reduce_code_of_file(code: CodeType) -> Any:
        # cloudpickle leaves the file out since 3.1.3, without which tracebacks show no source.
        maker, args = reduce_code(code)
        if code.co_filename in args:
            return maker, args
        return _make_code, (code.co_filename, maker, args)

    others[types.CodeType] = reduce_code_of_file
    if sys.version_info >= (3, 15):
        others[types.LazyImportType] = _reduce_lazy_import
    seeded = (generators.reducers,) if is_seeded else ()
    reducers = ChainMap(*seeded, *REDUCERS.maps, others, cloudpickle.Pickler.dispatch_table)

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        dispatch_table = reducers
        main: MainOfWorkers | None = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._sources: dict[str, list[str] | None] = {}

        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, FunctionType | type):
                return NotImplemented
            in_main = getattr(value, "__module__", None) == "__main__"
            if in_main and self.main is not None and self.main.has(value):
                return NotImplemented
            reduced = super().reducer_override(value)
            if not isinstance(reduced, tuple) or len(reduced) < 6:
                # A reference, or a type that is made in a way of its own, as `type(None)`.
                return reduced
            maker, args, state, *items, setter = reduced
            if in_main and self.main is None and is_reachable(value):
                args = (value.__qualname__, maker, args)
                return _find_or_make, args, (setter, state), *items, _set_if_made
            if isinstance(value, FunctionType):
                file = value.__code__.co_filename
                if (lines := self._source(file)) is not None:
                    return _make_with_source, (file, lines, maker, args), state, *items, setter
            return reduced

        def _source(self, file: str) -> list[str] | None:
            """The lines of a file that is none: a notebook's cell, say."""
            if file not in self._sources:
                lines = None if os.path.isfile(file) else linecache.getlines(file)
                self._sources[file] = lines or None
            return self._sources[file]

    return ByValuePickler


def _refuse(value: object) -> Any:
    raise TypeError(f"cannot pickle {type(value).__name__!r} object")


def _reduce_stream(stream: io.TextIOWrapper) -> Any:
    """Reduce a standard stream, which means the receiver's."""
    for name in ("stdin", "stdout", "stderr"):
        if stream is getattr(sys, name):
            return getattr, (sys, name)
    return _refuse(stream)


def _reduce_lazy_import(lazy: Any) -> Any:
    """Reduce what a global of a function stands for, before the function has used it."""
    return _identity, (lazy.resolve(),)


def _identity(value: T) -> T:
    return value


def _make_code(file: str, maker: Callable[..., CodeType], args: tuple[Any, ...]) -> CodeType:
    return maker(*args).replace(co_filename=file)


def _find_or_make(qualname: str, maker: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    found = find("__main__", qualname)
    return maker(*args) if found is None else found


def _set_if_made(made: Any, setter_and_state: tuple[Callable[..., Any], Any]) -> None:
    if find("__main__", made.__qualname__) is not made:
        setter, state = setter_and_state
        setter(made, state)


def _make_with_source(
    file: str, lines: list[str], maker: Callable[..., Any], args: tuple[Any, ...]
) -> Any:
    """Make a function, and have tracebacks show its source."""
    # Without a time, it stays although there is no such file.
    linecache.cache.setdefault(file, (sum(map(len, lines)), None, lines, file))
    return maker(*args)


class ClassesByValue:
    """The classes that came to this process by value, or went; by cloudpickle's ids of them."""

    @staticmethod
    def id_of(value: object) -> str | None:
        """Return the id of such a class, None for anything else."""
        cloudpickle = sys.modules.get("cloudpickle.cloudpickle")
        if cloudpickle is None or not isinstance(value, type):
            return None
        known: str | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(value)
        return known

    @staticmethod
    def find(class_id: str, name: str) -> type:
        """Return the class of an id.

        Raises:
            LookupError: this process does not have it, or no longer.
        """
        from cloudpickle import cloudpickle

        found: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(class_id)
        if found is None:
            raise LookupError(f"this process has no class {name!r} like the sender's")
        return found


def reduce_class(value: Any) -> Any:
    """Reduce a class that came by value to its id, as `reducer_override` does."""
    class_id = ClassesByValue.id_of(value)
    if class_id is None or is_reachable(value):
        return NotImplemented
    return ClassesByValue.find, (class_id, value.__qualname__)


def is_stateless(function: Any, main: MainOfWorkers) -> bool:
    """Return whether a function by value is always the same function, whatever it has done.

    That is so if all that it refers to is constant or a reference: then one copy cannot be told
    from another.

    Args:
        function: what to look at.
        main: what the workers have in `__main__`.
    """

    def is_constant(value: Any) -> bool:
        kind = type(value)
        if kind in _CONSTANTS:
            return True
        if kind in (tuple, frozenset):
            return all(map(is_constant, value))
        if kind is ModuleType:
            return sys.modules.get(value.__name__) is value is not sys.modules["__main__"]
        if kind in PLAIN:
            return main.has(value) if value.__module__ == "__main__" else is_reachable(value)
        return False

    if not _enabled or type(function) is not FunctionType or function.__dict__:
        return False
    try:
        if function.__annotations__:
            return False
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except (NameError, ValueError):
        # An annotation, or a variable, that has no value yet.
        return False
    namespace = function.__globals__
    used = (namespace[name] for name in _names(function.__code__) if name in namespace)
    defaults = (function.__defaults__ or (), tuple((function.__kwdefaults__ or {}).values()))
    return all(all(map(is_constant, values)) for values in (cells, *defaults, used))


_CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type(...))


def _names(code: CodeType) -> Iterable[str]:
    """All names that code mentions, its inner functions' included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from _names(constant)


def copier(function: Any) -> Callable[[], Any]:
    """Return what makes copies of a stateless function, each as if it had just arrived."""
    code, name, namespace = function.__code__, function.__name__, function.__globals__
    defaults, kwdefaults = function.__defaults__, function.__kwdefaults__
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    qualname, module, doc = function.__qualname__, function.__module__, function.__doc__

    def copy() -> Any:
        made = FunctionType(code, dict(namespace), name, defaults, tuple(map(CellType, cells)))
        if kwdefaults:
            made.__kwdefaults__ = dict(kwdefaults)
        made.__qualname__, made.__module__, made.__doc__ = qualname, module, doc
        return made

    return copy
