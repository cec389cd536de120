"""`multiprocessing.process`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import process
from multiprocessing.process import *

sys.modules[__name__] = process
