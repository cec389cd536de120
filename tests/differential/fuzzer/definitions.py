# What random programs are made of: each takes those definitions that it uses.
#
# This file is not imported; `program.py` cuts it into its definitions.

import array
import collections
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import datetime
import decimal
import enum
import errno
import fractions
import functools
import itertools
import math
import operator
import os
import pathlib
import pickle
import queue
import signal
import sys
import threading
import time
import uuid
import warnings

import numpy
from outcome import PATIENCE, ProcessPoolExecutor, counted, describe, say, show
from subject import context, mp
from subject import name as way

# Values


class Plain:
    def __init__(self, *args):
        self.args = args


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left, self.right = left, right

    def __repr__(self):
        return f"Slotted({self.left!r}, {self.right!r})"


@dataclasses.dataclass
class Record:
    name: str
    values: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    x: int
    y: int = 0


Pair = collections.namedtuple("Pair", ["first", "second"])


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class MyInt(int):
    pass


class MyStr(str):
    pass


class MyList(list):
    pass


class MyDict(dict):
    def __missing__(self, key):
        return ("missing", key)


class MyTuple(tuple):
    pass


def with_attribute(value):
    value.note = "attribute"
    return value


class StateCounter:
    """Counts how often its state was taken and set."""

    def __init__(self):
        self.taken = 0
        self.set = 0

    def __getstate__(self):
        self.taken += 1
        return {"taken": self.taken, "set": self.set}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.set += 1


class Reduced:
    """Pickles as a call of `rebuild`."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return rebuild, (self.value,)


def rebuild(value):
    return ("rebuilt", value, mp.parent_process() is None)


main_pid = os.getpid()


class NewArgs:
    def __new__(cls, value):
        self = super().__new__(cls)
        self.value = value
        return self

    def __getnewargs__(self):
        return (self.value,)


class Hashed:
    """Equal and hashed by its key, and counts nothing but its key."""

    def __init__(self, key):
        self.key = key

    def __eq__(self, other):
        return isinstance(other, Hashed) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __repr__(self):
        return f"Hashed({self.key!r})"


class NeverEqual:
    def __eq__(self, other):
        raise RuntimeError("compared")

    __hash__ = None

    def __bool__(self):
        raise RuntimeError("asked for truth")


class DoesNotPickle:
    def __reduce__(self):
        raise TypeError("not to be pickled")


class DoesNotUnpickle:
    def __reduce__(self):
        return refuse, ("not to be unpickled",)


def refuse(text):
    raise ValueError(text)


class PicklesElsewhere:
    """Unpickles in the process that made it alone."""

    def __init__(self):
        self.pid = os.getpid()

    def __setstate__(self, state):
        if state["pid"] != os.getpid():
            raise LookupError("made elsewhere")
        self.__dict__.update(state)


class Nested:
    class Inner:
        def __init__(self, value):
            self.value = value

        def double(self, x=0):
            return (self.value, x)


def twice_in(value):
    """A list with the same object twice."""
    return [value, value]


def cycle_of(value):
    cycle = [value]
    cycle.append(cycle)
    return cycle


def dict_cycle(value):
    cycle = {"value": value}
    cycle["self"] = cycle
    return cycle


def object_cycle(value):
    one, two = Plain(value), Plain()
    one.other, two.other = two, one
    return one


def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def read_only(value):
    value.setflags(write=False)
    return value


def structured():
    return numpy.array([(1, 2.5, b"ab"), (3, 4.5, b"c")], dtype="i4,f8,S4")


def large(kind, length=9000):
    return numpy.arange(length).astype(kind)


# Sources


def generate(items):
    yield from items


def generate_then_raise(items, error):
    yield from items
    raise error


class Sized:
    """An iterable with a length that is not a list."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return iter(self.items)


class Indexed:
    """An iterable by `__getitem__` alone."""

    def __init__(self, items):
        self.items = items

    def __getitem__(self, index):
        return self.items[index]


class Hinting:
    """An iterator whose `__length_hint__` may be wrong."""

    def __init__(self, items, hint):
        self.items, self.hint = iter(items), hint

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def __length_hint__(self):
        return self.hint


class WrongLength:
    """Its length is not the number of its items."""

    def __init__(self, items, length):
        self.items, self.length = items, length

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.items)


class RaisesInIter:
    def __iter__(self):
        raise LookupError("no iterator")


# Functions of one argument


def identity(x):
    return x


def seen(x):
    """What arrived, as the worker sees it."""
    return describe(x)


def type_of(x):
    return type(x)


def wrapped(x):
    return [x, (x,), {"x": x}]


def doubled(x):
    return x * 2


def nothing(x):
    pass


def first_is_second(x):
    return x[0] is x[1]


def mutated(x):
    """Changes what it was given as far as it can."""
    if isinstance(x, list):
        x.append("changed")
    elif isinstance(x, dict):
        x["changed"] = True
    elif isinstance(x, set):
        x.add("changed")
    elif isinstance(x, bytearray):
        x.extend(b"changed")
    elif isinstance(x, numpy.ndarray) and x.size and x.flags.writeable:
        x.flat[0] = x.flat[-1]
    elif hasattr(x, "__dict__"):
        x.changed = True
    return x


def written_array(x):
    x[...] = 7
    return x


def array_view(x):
    return numpy.asarray(x)[1:]


def array_sum(x):
    return numpy.asarray(x).sum()


def counted_calls(x):
    """A function that keeps state in an attribute."""
    counted_calls.calls = getattr(counted_calls, "calls", 0) + 1
    return counted_calls.calls


def accumulated(x, bag=[]):
    """A function that keeps state in a default."""
    bag.append(type(x).__name__)
    return list(bag)


total = 0
seen_before = []


def global_total(x):
    global total
    total += 1
    return total


def global_list(x):
    seen_before.append(1)
    return len(seen_before)


@functools.lru_cache(maxsize=None)
def cached(x):
    global total
    total += 1
    return total


def read_global(x):
    return (total, len(seen_before), marker)


marker = "unset"


def set_marker(*values):
    global marker
    marker = values


def set_marker_then_raise(*values):
    set_marker(*values)
    raise ValueError("initializer", *values)


def about_process(x):
    process = mp.current_process()
    return (
        process.name,
        process.daemon,
        mp.parent_process() is not None and mp.parent_process().pid == x,
        process.is_alive(),
        os.getpid() == process.pid,
        threading.current_thread() is threading.main_thread(),
    )


def about_interpreter(x):
    return (
        sys.argv,
        __name__,
        signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        sys.getrecursionlimit(),
        sys.stdin.read(),
    )


def started_by(x):
    return mp.get_start_method(allow_none=True)


def own_children(x):
    return mp.active_children()


seeded = numpy.random.seed(5)


def numpy_random(x):
    assert seeded is None
    return int(numpy.random.randint(1 << 30))


def warn(x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(f"about {x!r}", UserWarning)
    return [str(warning.message) for warning in caught]


def printed(x):
    print("printed", describe(x), flush=True)


def changed_environment(x):
    os.environ["CHANGED"] = "yes"
    return os.environ.get("CHANGED_BY_MAIN")


def read_environment(x):
    return os.environ.get("CHANGED"), os.environ.get("CHANGED_BY_MAIN")


def recursive(x):
    return recursive(x)


def forked(x):
    """A fork within a task whose child ends at once."""
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child_process(x):
    """A process within a task, which daemons may not have."""
    process = mp.Process(target=identity, args=(x,))
    process.start()
    process.join()
    return process.exitcode


def in_threads(x):
    found = []
    threads = [threading.Thread(target=lambda: found.append(describe(x))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def atexit_registered(x):
    import atexit

    atexit.register(say, "atexit", describe(x))
    return "registered"


def last_of(x):
    return x[-1]


def joined(*args, **kwargs):
    return args, kwargs


def swapped(a, b):
    return b, a


def keyword_only(x, *, factor=2):
    return x, factor


def annotated(x: int, /, y: "str" = "y") -> tuple:
    return x, y


def failing_call_signature():
    return "none expected"


def nap(x):
    time.sleep(0.001)
    return x


# Results that do not travel


def returned_lambda(x):
    return lambda: x


def returned_generator(x):
    return (item for item in [x])


def returned_lock(x):
    return threading.Lock()


def returned_unpicklable(x):
    return [x, DoesNotPickle()]


def returned_not_unpicklable(x):
    return DoesNotUnpickle()


def returned_local(x):
    class Local:
        pass

    return Local()


def returned_memoryview(x):
    return memoryview(b"abc")


def returned_function(x):
    return identity


def returned_class(x):
    return Record


def returned_instance(x):
    return Record("made by a worker", [x])


def returned_bound(x):
    return Record("bound", [x]).__repr__


def returned_exception(x):
    return ValueError("returned, not raised", x)


def returned_not_implemented(x):
    return NotImplemented


def returned_ellipsis(x):
    return ...


# Callables with state


class Adder:
    """A callable that counts its calls."""

    def __init__(self, base):
        self.base = base
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return (self.calls, self.base, x)

    def method(self, x):
        self.calls += 1
        return (self.calls, self.base, x)

    @classmethod
    def of_class(cls, x):
        cls.class_calls = getattr(cls, "class_calls", 0) + 1
        return (cls.__name__, cls.class_calls, x)

    @staticmethod
    def of_nobody(x):
        return ("static", x)

    @property
    def as_property(self):
        return self.base


class Remembering:
    def __init__(self):
        self.items = []

    def __call__(self, x):
        self.items.append(x)
        return list(self.items)


class CallableSubclass(Adder):
    def __call__(self, x):
        return ("subclass", super().__call__(x))


class Meta(type):
    def __call__(cls, *args):
        return ("meta", cls.__name__, super().__call__(*args))


class MadeByMeta(metaclass=Meta):
    def __init__(self, x=None):
        self.x = x


def append_to(bag, x):
    bag.append(x)
    return len(bag)


def next_of(counter, x):
    return next(counter), x


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        wrapper.calls = getattr(wrapper, "calls", 0) + 1
        return wrapper.calls, function(*args)

    return wrapper


@decorated
def counted_by_decorator(x):
    return x


def closure_over(value):
    def inner(x):
        value.append(x)
        return list(value)

    return inner


def closure_with_cell(start):
    def inner(x):
        nonlocal start
        start += 1
        return start

    return inner


# Exceptions


class Custom(Exception):
    pass


class WithAttributes(Exception):
    def __init__(self, code, detail):
        super().__init__(f"code {code}")
        self.code = code
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.code, self.detail)


class TwoArguments(Exception):
    """Does not unpickle: `args` has one argument, its constructor takes two."""

    def __init__(self, one, two):
        super().__init__(one)


class KeywordOnly(Exception):
    """Does not unpickle: its constructor needs a keyword."""

    def __init__(self, *, reason):
        super().__init__(reason)


class DefaultArgument(Exception):
    def __init__(self, message="by default", extra=None):
        super().__init__(message)
        self.extra = extra


class OwnReduce(Exception):
    def __reduce__(self):
        return made_again, (self.args,)


def made_again(args):
    return OwnReduce("made again", *args)


class BecomesAnother(Exception):
    def __reduce__(self):
        return ValueError, ("became another",)


class NoText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class FalseError(Exception):
    def __bool__(self):
        return False


class EqualToAll(Exception):
    def __eq__(self, other):
        return True

    __hash__ = Exception.__hash__


class DerivedKey(KeyError):
    pass


class DerivedOS(OSError):
    pass


class DerivedStop(StopIteration):
    pass


class OfBase(BaseException):
    pass


class SlottedError(Exception):
    __slots__ = ("extra",)


class Mixed(ValueError, KeyError):
    pass


class TimedOut(TimeoutError):
    pass


def raising(error):
    raise error


def with_notes(error, *notes):
    for note in notes:
        error.add_note(note)
    return error


def with_extra(error, value):
    error.extra = value
    return error


def with_cause(error, cause):
    error.__cause__ = cause
    return error


def raise_given(x):
    """Raises what it was given, or says what that was."""
    if isinstance(x, BaseException):
        raise x
    return ("not raised", describe(x))


def raise_in_context(x):
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError("second", x)


def raise_from(x):
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second", x) from error


def raise_from_none(x):
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError("second", x) from None


def raise_group(x):
    raise ExceptionGroup("several", [ValueError(x), ExceptionGroup("inner", [KeyError("k")])])


def raise_with_state(x):
    raise with_extra(WithAttributes(1, x), {"state": x})


def raise_unpicklable(x):
    raise ValueError("with a lock", threading.Lock())


def raise_two_arguments(x):
    raise TwoArguments(1, 2)


def raise_keyword_only(x):
    raise KeywordOnly(reason="r")


def raise_class(x):
    raise LookupError


def raise_not_exception(x):
    raise 7


def raise_if_odd(x):
    if isinstance(x, int) and x % 2:
        raise ValueError("odd", x)
    return x


def raise_stop_if_two(x):
    if x == 2:
        raise StopIteration(x)
    return x


def raise_assertion(x):
    assert x is assertion_marker, "asserted"


assertion_marker = object()


def raise_open(x):
    open("/does/not/exist")


def raise_import(x):
    import does_not_exist


def raise_attribute(x):
    return x.does_not_exist


def raise_division(x):
    return 1 / 0


def raise_decode(x):
    return b"\xff\xfe".decode("utf-8")


def raise_encode(x):
    return "\udc80".encode("utf-8")


def raise_syntax(x):
    compile("1 +", "given", "eval")


def raise_unbound(x):
    del x
    return x


def raise_json(x):
    import json

    return json.loads("{")


def raise_next_of_empty(x):
    return next(iter(()))


def raise_generator_stop(x):
    def generator():
        raise StopIteration
        yield

    return list(generator())


def exit_with(x):
    sys.exit(x)


# What steps are made of


def drain(results, most=40):
    """What each `next` returns or raises, until the end."""
    found = []
    for _ in range(most):
        try:
            found.append(describe(next(results)))
        except StopIteration as error:
            found.append(f"stop {describe(error)}")
            if not error.args:
                break
        except Exception as error:
            found.append(f"raised {describe(error)}")
    return found


def notes_of(calls, name):
    """A callback that notes what it is called with."""
    return lambda given: calls.append((name, describe(given)))


def raising_callback(calls):
    def callback(given):
        calls.append(("raising", describe(given)))
        raise ValueError("in the callback")

    return callback


def asked_by_thread(call):
    """What a call returns in another thread of this process."""
    found = []

    def ask():
        try:
            found.append(describe(call()))
        except BaseException as error:
            found.append(f"raised {describe(error)}")

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found


def forked_child(call, status=0):
    """What a child of this process says that `call` returned, and how it ended."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        show("in a forked child", call)
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def finished(process):
    """Start a process and tell how it ended."""
    process.start()
    process.join()
    return process.exitcode


def in_child(call):
    """What a child process says that `call` returned, and how it ended."""
    return finished(context.Process(target=show, args=("in a child", call)))


def killed(x=None):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_child(call):
    """The same of a child that is killed right after."""

    def main():
        show("in a killed child", call)
        killed()

    return finished(context.Process(target=main))


def completed(futures):
    """What futures hold, in an order that does not depend on time."""
    done = concurrent.futures.as_completed(futures)
    return sorted(describe(future.exception() or future.result()) for future in done)


def state_of(future):
    return future.done(), future.cancelled(), future.running(), future.cancel()


class OwnProcess(mp.Process):
    """A process with a `run` of its own."""

    def __init__(self, value):
        super().__init__(name="own")
        self.value = value

    def run(self):
        show("run", lambda: (self.name, self.value))


def tell(*args, **kwargs):
    """The target of a process: says what it was given."""
    show("target", lambda: (args, kwargs))


def tell_about_self(*args):
    process = mp.current_process()
    show(
        "self",
        lambda: (
            process.name,
            process.daemon,
            process.exitcode,
            process.is_alive(),
            process.pid == os.getpid(),
            mp.parent_process().name,
            mp.active_children(),
            process._identity,
            repr(process).split(" parent=")[0],
        ),
    )


def kill_self(number):
    os.kill(os.getpid(), number)


def leave(status):
    os._exit(status)


def thread_that_lives_on(x):
    def late():
        time.sleep(0.02)
        say("late", describe(x))

    threading.Thread(target=late).start()


def nested_process(x):
    show("nested", lambda: finished(context.Process(target=tell, args=(x,))))


def own_pool(x):
    with context.Pool(1) as pool:
        show("own pool", lambda: pool.map(identity, [x]))


def sleeper():
    time.sleep(100)


def put_all(items, *values):
    for value in values:
        items.put(value)


def get_some(items, count):
    show("got in a child", lambda: [items.get() for _ in range(count)])


def echo(connection, count):
    for _ in range(count):
        connection.send(connection.recv())


def kept(resource):
    """An initializer: keeps what it is given for `use_kept`."""
    global kept_resource
    kept_resource = resource


kept_resource = None


def put_kept(x):
    kept_resource.put(x)


def get_kept(x):
    return kept_resource.get()


def add_kept(x):
    with kept_resource.get_lock():
        kept_resource.value += x
    return kept_resource.value


def array_kept(x):
    kept_resource[x] += 5
    return list(kept_resource)


def acquire_kept(x):
    return kept_resource.acquire(False)


def release_kept(x):
    return kept_resource.release()


def locked_kept(x):
    with kept_resource:
        return x


def set_kept(x):
    kept_resource.set()
    return kept_resource.is_set()


def store_kept(x):
    kept_resource[x] = os.getpid() != main_pid
    return sorted(kept_resource)


def buffered(data, count=0):
    """A buffer to receive into."""
    return bytearray(data) + bytearray(count)


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]


def del_value(it):
    del it.value


def attached(name):
    other = mp.shared_memory.SharedMemory(name)
    try:
        return bytes(other.buf[:4])
    finally:
        other.close()
