"""`multiprocessing.shared_memory`: the same module object under millpond's name.

Blocks have a name in the system and live until `unlink`. `millpond.RawArray` and
`millpond.shared_array` are shared memory without a name, which goes with its last process.
"""
# ruff: noqa: F403

import sys
from multiprocessing import shared_memory
from multiprocessing.shared_memory import *

sys.modules[__name__] = shared_memory
