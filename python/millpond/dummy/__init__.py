"""`multiprocessing.dummy`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import dummy
from multiprocessing.dummy import *
from multiprocessing.dummy import Array as Array
from multiprocessing.dummy import Namespace as Namespace
from multiprocessing.dummy import Value as Value

sys.modules[__name__] = dummy
# Otherwise importing it would find the stdlib's file again and execute a second copy.
sys.modules[f"{__name__}.connection"] = dummy.connection
