"""`multiprocessing.resource_tracker`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import resource_tracker
from multiprocessing.resource_tracker import *
from multiprocessing.resource_tracker import ResourceTracker as ResourceTracker
from multiprocessing.resource_tracker import getfd as getfd

sys.modules[__name__] = resource_tracker
