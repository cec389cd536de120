"""`multiprocessing.managers`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import managers
from multiprocessing.managers import *
from multiprocessing.managers import BaseListProxy as BaseListProxy
from multiprocessing.managers import DictProxy as DictProxy
from multiprocessing.managers import ListProxy as ListProxy
from multiprocessing.managers import Namespace as Namespace
from multiprocessing.managers import RemoteError as RemoteError
from multiprocessing.managers import Server as Server
from multiprocessing.managers import SharedMemoryServer as SharedMemoryServer
from multiprocessing.managers import ValueProxy as ValueProxy

sys.modules[__name__] = managers
