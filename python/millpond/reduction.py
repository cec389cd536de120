"""`multiprocessing.reduction`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import reduction
from multiprocessing.reduction import *
from multiprocessing.reduction import AbstractReducer as AbstractReducer

sys.modules[__name__] = reduction
