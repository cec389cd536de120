"""`multiprocessing.popen_fork`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import popen_fork
from multiprocessing.popen_fork import *

sys.modules[__name__] = popen_fork
