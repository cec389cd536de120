"""`multiprocessing.heap`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import heap
from multiprocessing.heap import *
from multiprocessing.heap import Arena as Arena
from multiprocessing.heap import Heap as Heap

sys.modules[__name__] = heap
