"""`multiprocessing.queues`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import queues
from multiprocessing.queues import *

sys.modules[__name__] = queues
