"""Acting on a module at the moment it has been imported."""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["PostImportHook"]


class PostImportHook:
    """A meta path finder that finds nothing itself: it calls back once a module is executed.

    Example:
        >>> import sys
        >>> from millpond._install.import_hook import PostImportHook
        >>> hook = PostImportHook({"colorsys": lambda module: print("here is", module.__name__)})
        >>> sys.meta_path.insert(0, hook)
        >>> import colorsys
        here is colorsys
        >>> sys.meta_path.remove(hook)
    """

    def __init__(self, callbacks: Mapping[str, Callable[[ModuleType], object]]) -> None:
        self._callbacks = callbacks
        # Which threads are looking for which modules.
        self._asked: set[tuple[int, str]] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find `name`, and watch its loader if someone waits for it."""
        callback = self._callbacks.get(name)
        if callback is None:
            return None
        asked = threading.get_ident(), name
        if asked in self._asked:
            # By another such hook, or a finder that stands for all others.
            return None
        self._asked.add(asked)
        try:
            for finder in sys.meta_path:
                find: Any = getattr(finder, "find_spec", None)
                if finder is self or find is None:
                    continue
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    loader: Any = _WatchedLoader(spec.loader, callback)
                    spec.loader = loader
                    return spec
            return None
        finally:
            self._asked.discard(asked)


class _WatchedLoader:
    """Executes a module by its real loader, leaves that loader in its place, and calls back."""

    def __init__(self, loader: Any, callback: Callable[[ModuleType], object]) -> None:
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        # Tools ask the loader for source text and the like.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._callback(module)
