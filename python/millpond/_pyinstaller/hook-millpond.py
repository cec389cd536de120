"""Millpond imports its modules when their names are first used: PyInstaller does not see where."""

from PyInstaller.utils.hooks import collect_submodules  # type: ignore[import-untyped]

hiddenimports = collect_submodules("millpond") + collect_submodules("multiprocessing")
