"""`multiprocessing.sharedctypes`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import sharedctypes
from multiprocessing.sharedctypes import *
from multiprocessing.sharedctypes import Synchronized as Synchronized
from multiprocessing.sharedctypes import SynchronizedArray as SynchronizedArray
from multiprocessing.sharedctypes import SynchronizedBase as SynchronizedBase
from multiprocessing.sharedctypes import SynchronizedString as SynchronizedString

sys.modules[__name__] = sharedctypes
