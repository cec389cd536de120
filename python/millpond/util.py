"""`multiprocessing.util`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import util
from multiprocessing.util import *
from multiprocessing.util import is_abstract_socket_namespace as is_abstract_socket_namespace
from multiprocessing.util import spawnv_passfds as spawnv_passfds

sys.modules[__name__] = util
