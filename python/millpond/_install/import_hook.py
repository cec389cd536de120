"""Acting on a module at the moment it has been imported."""

from __future__ import annotations

import threading
from importlib import util

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType
    from typing import Any

__all__ = ["PostImportHook"]


class PostImportHook:
    """A meta path finder that finds nothing itself: it calls back once a module is executed.

    Example:
        >>> import sys
        >>> from millpond._install.import_hook import PostImportHook
        >>> hook = PostImportHook(["colorsys"], lambda module: print("here is", module.__name__))
        >>> sys.meta_path.insert(0, hook)
        >>> import colorsys
        here is colorsys
        >>> sys.meta_path.remove(hook)
    """

    def __init__(self, names: Collection[str], callback: Callable[[ModuleType], object]) -> None:
        self._names = names
        self._callback = callback
        # Which threads are looking for which modules.
        self._asked: set[tuple[int, str]] = set()

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Let the other finders find `name`, and watch its loader if it is awaited."""
        asked = threading.get_ident(), name
        # A second time it is asked by another such hook, or a finder that stands for all others.
        if name not in self._names or asked in self._asked:
            return None
        self._asked.add(asked)
        try:
            spec: Any = util.find_spec(name)
        finally:
            self._asked.discard(asked)
        if spec is not None:
            spec.loader = _WatchedLoader(spec.loader, self._callback)
        return spec


class _WatchedLoader:
    """Executes a module by its real loader, leaves that loader in its place, and calls back."""

    def __init__(self, loader: Any, callback: Callable[[ModuleType], object]) -> None:
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        # To create the module; and tools ask the loader for source text and the like.
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._callback(module)
