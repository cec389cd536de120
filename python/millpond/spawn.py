"""`multiprocessing.spawn`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import spawn
from multiprocessing.spawn import *
from multiprocessing.spawn import prepare as prepare
from multiprocessing.spawn import spawn_main as spawn_main

sys.modules[__name__] = spawn
