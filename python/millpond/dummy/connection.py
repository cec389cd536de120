"""`multiprocessing.dummy.connection`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing.dummy import connection
from multiprocessing.dummy.connection import *
from multiprocessing.dummy.connection import Connection as Connection

sys.modules[__name__] = connection
