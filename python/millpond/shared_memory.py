"""`multiprocessing.shared_memory`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import shared_memory
from multiprocessing.shared_memory import *

sys.modules[__name__] = shared_memory
