"""`multiprocessing.popen_forkserver`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import popen_forkserver
from multiprocessing.popen_forkserver import *

sys.modules[__name__] = popen_forkserver
