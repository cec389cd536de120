"""What a program under comparison imports: `multiprocessing` as the way in that IMPL names has it.

    from subject import context, mp, name

- `IMPL=plain`: the standard library.
- `IMPL=import`: `import millpond as multiprocessing`.
- `IMPL=install`: `millpond.install()`, then `multiprocessing`.

`METHOD` is the start method of `context`. What the program prints is compared.
"""

from __future__ import annotations

import os
from typing import Any

name = os.environ.get("IMPL", "plain")
method = os.environ.get("METHOD", "fork")

mp: Any
if name == "import":
    import millpond as mp
else:
    if name == "install":
        import millpond

        millpond.install()
    import multiprocessing as mp

context: Any = mp.get_context(method)


def show(what: str, call: Any) -> None:
    """Print what a call returns, or what it raises: the type and the text."""
    try:
        outcome = repr(call())
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"
    print(f"{what}: {outcome}", flush=True)
