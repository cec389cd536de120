"""`multiprocessing.popen_spawn_win32`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import popen_spawn_win32
from multiprocessing.popen_spawn_win32 import *

sys.modules[__name__] = popen_spawn_win32
