"""`multiprocessing.connection`: the same module object under millpond's name."""
# ruff: noqa: F403

import sys
from multiprocessing import connection
from multiprocessing.connection import *
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import answer_challenge as answer_challenge
from multiprocessing.connection import deliver_challenge as deliver_challenge

sys.modules[__name__] = connection
