"""`multiprocessing.popen_spawn_posix`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import popen_spawn_posix
from multiprocessing.popen_spawn_posix import *

sys.modules[__name__] = popen_spawn_posix
