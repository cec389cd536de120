"""`multiprocessing.resource_sharer`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import resource_sharer
from multiprocessing.resource_sharer import *

sys.modules[__name__] = resource_sharer
