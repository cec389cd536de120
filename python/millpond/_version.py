"""The package's version, which is the engine's too."""

__all__ = ["__version__"]

__version__ = "0.1.0"
