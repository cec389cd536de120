"""`multiprocessing.forkserver`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import forkserver
from multiprocessing.forkserver import *
from multiprocessing.forkserver import ForkServer as ForkServer

sys.modules[__name__] = forkserver
