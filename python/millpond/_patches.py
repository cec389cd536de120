"""The three places of `multiprocessing` that change while millpond is installed.

- `multiprocessing.pool.Pool` reads as millpond's pool. The module's own globals keep the
  standard library's class, which `ThreadPool` needs.
- What a spawn or forkserver child is told about its parent also installs millpond in the child.
- The fork server installs millpond before it imports the modules that it preloads.
"""

from __future__ import annotations

from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    class Patch(Protocol):
        """A change to a module that can be taken back."""

        def apply(self, module: ModuleType) -> None: ...
        def revert(self, module: ModuleType) -> None: ...


__all__ = ["PATCHES"]


class InstalledPoolModule(ModuleType):
    """The class of the module `multiprocessing.pool` while millpond is installed.

    A property of the module's class comes before the module's own `Pool` for whoever imports it,
    but not for the functions inside the module.
    """

    @property
    def Pool(self) -> Any:
        return vars(self).get("_millpond_override") or installed_pool()

    @Pool.setter
    def Pool(self, value: Any) -> None:
        # Whoever replaced the class for a while may put back what `vars(module)` showed.
        if value is vars(self)["Pool"]:
            vars(self).pop("_millpond_override", None)
        else:
            vars(self)["_millpond_override"] = value


_installed_pool: type[Any] | None = None


def installed_pool() -> type[Any]:
    """Return millpond's `Pool` under the name that programs know it by."""
    global _installed_pool
    if _installed_pool is None:
        from millpond._version import load_engine

        load_engine()
        from millpond.pool import Pool

        namespace = {"__module__": "multiprocessing.pool", "__doc__": Pool.__doc__}
        _installed_pool = type("Pool", (Pool,), namespace)
    return _installed_pool


class PoolPatch:
    """Makes `multiprocessing.pool.Pool` read as millpond's."""

    def apply(self, module: ModuleType) -> None:
        module.__class__ = InstalledPoolModule

    def revert(self, module: ModuleType) -> None:
        vars(module).pop("_millpond_override", None)
        module.__class__ = ModuleType


class FunctionPatch:
    """Wraps one function of a module."""

    def __init__(self, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
        self._name = name
        self._wrap = wrap

    def apply(self, module: ModuleType) -> None:
        import functools

        original = getattr(module, self._name)
        self._wrapper = functools.wraps(original)(self._wrap(original))
        setattr(module, self._name, self._wrapper)

    def revert(self, module: ModuleType) -> None:
        # A wrapper that someone else put around ours is theirs to take away.
        if getattr(module, self._name) is self._wrapper:
            setattr(module, self._name, self._wrapper.__wrapped__)


class Carrier:
    """Installs millpond in the process that unpickles it, from where this process has it."""

    def __reduce__(self) -> tuple[Any, ...]:
        from millpond._bootstrap import install_source

        return exec, (install_source(), {})


def _carry_to_child(
    get_preparation_data: Callable[[str], dict[str, Any]],
) -> Callable[[str], dict[str, Any]]:
    def with_millpond(name: str) -> dict[str, Any]:
        # The child unpickles all of this before it imports the parent's `__main__`.
        return {**get_preparation_data(name), "millpond": Carrier()}

    return with_millpond


def _carry_to_fork_server(spawnv_passfds: Callable[..., int]) -> Callable[..., int]:
    def with_millpond(path: bytes, args: Sequence[str | bytes], passfds: Sequence[int]) -> int:
        return spawnv_passfds(path, [_with_bootstrap(arg) for arg in args], passfds)

    return with_millpond


def _with_bootstrap(argument: str | bytes) -> str | bytes:
    if isinstance(argument, str) and argument.startswith("from multiprocessing.forkserver import"):
        from millpond._bootstrap import install_source

        return install_source() + argument
    return argument


PATCHES: Mapping[str, Patch] = {
    "multiprocessing.pool": PoolPatch(),
    "multiprocessing.spawn": FunctionPatch("get_preparation_data", _carry_to_child),
    "multiprocessing.util": FunctionPatch("spawnv_passfds", _carry_to_fork_server),
}
