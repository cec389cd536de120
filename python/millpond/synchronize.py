"""`multiprocessing.synchronize`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import synchronize
from multiprocessing.synchronize import *
from multiprocessing.synchronize import Barrier as Barrier
from multiprocessing.synchronize import SemLock as SemLock

sys.modules[__name__] = synchronize
