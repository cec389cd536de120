"""Random values, sources of items, and callables, as expressions."""

from __future__ import annotations

from random import Random

from fuzzer.program import Expression

# Values whose journey ends a process, or that cannot come back: a call of them may never end
# under plain Python.
POISON = frozenset(
    "DoesNotUnpickle PicklesElsewhere TwoArguments KeywordOnly OfBase SystemExit exit_with "
    "KeyboardInterrupt GeneratorExit killed leave returned_not_unpicklable "
    "BaseExceptionGroup".split()
)

SCALARS = (
    "None True False 0 1 -1 7 255 256 2**31 -2**31-1 2**63 -2**63 2**64+1 10**40 -10**100 1<<9000 "
    "0.0 -0.0 1.5 1e308 5e-324 math.nan math.inf -math.inf 2j complex(0.0,-0.0) "
    "'' 'a' 'ä€😀' '\\udc80' '\\0' 'x'*3000 'ü'*70000 b'' b'\\0\\xff' b'y'*40000 b'z'*70000 "
    "bytearray(b'ab') bytearray(70000) ... NotImplemented range(3) range(10,0,-3) slice(1,None,2) "
    "int list type print len mp.TimeoutError dict.fromkeys os.path.join"
).split()

OBJECTS: tuple[Expression, ...] = (
    "Plain()",
    "Plain(1, 'a')",
    "Slotted(1, [2])",
    "Record('r')",
    "Record('r', [1, 2])",
    "Frozen(1)",
    "Frozen(2, 3)",
    "Pair(1, 'two')",
    "Colour.RED",
    "Colour.GREEN",
    "Level.HIGH",
    "Mode.READ | Mode.WRITE",
    "Mode(0)",
    "MyInt(5)",
    "MyStr('s')",
    "MyList([1, 2])",
    "MyDict(a=1)",
    "MyTuple((1, 2))",
    "with_attribute(MyInt(3))",
    "with_attribute(MyList([1]))",
    "with_attribute(MyDict(k=2))",
    "with_attribute(MyStr('t'))",
    "StateCounter()",
    "Reduced(3)",
    "NewArgs('n')",
    "Hashed('h')",
    "NeverEqual()",
    "Nested.Inner(4)",
    "Nested.Inner",
    "Colour",
    "Record",
    "identity",
    "decimal.Decimal('1.10')",
    "decimal.Decimal('NaN')",
    "fractions.Fraction(3, 9)",
    "datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)",
    "datetime.date(1, 1, 1)",
    "datetime.timedelta(days=-1, microseconds=1)",
    "uuid.UUID(int=5)",
    "pathlib.PurePosixPath('/a/b')",
    "collections.OrderedDict(b=1, a=2)",
    "collections.Counter('aab')",
    "collections.deque([1, 2], maxlen=2)",
    "collections.defaultdict(list, a=[1])",
    "collections.ChainMap({'a': 1}, {'b': 2})",
    "array.array('d', [1.0, 2.0])",
    "array.array('b')",
    "array.array('i', range(20000))",
    "itertools.count(3)",
    "iter([1, 2])",
    "functools.partial(joined, 1, k=2)",
    "operator.itemgetter(0)",
    "twice_in([])",
    "twice_in(Plain())",
    "cycle_of(1)",
    "dict_cycle('v')",
    "object_cycle(2)",
    "deep(20)",
    "ValueError('a value')",
    "KeyError('k', 1)",
    "OSError(2, 'gone', 'file')",
    "WithAttributes(3, 'd')",
    "threading.Lock",
    "numpy.float64(1.5)",
    "numpy.int8(-3)",
    "numpy.bool_(True)",
    "numpy.array(5)",
    "numpy.array([])",
    "numpy.arange(4)",
    "numpy.zeros((2, 3), order='F')",
    "numpy.arange(6).reshape(2, 3)[:, ::2]",
    "numpy.array(['a', 'bcd'])",
    "numpy.array([1, 'a', None], dtype=object)",
    "numpy.array(['2024-01-01'], dtype='M8[D]')",
    "structured()",
    "read_only(numpy.arange(3))",
    "large('f8')",
    "large('i8').reshape(90, 100)",
    "numpy.asfortranarray(large('f8').reshape(90, 100))",
    "read_only(large('f8'))",
    "large('i8')[::-1]",
    "large('u1', 70000)",
    "large('f4').view('S4')",
    "numpy.ma.array([1, 2], mask=[True, False])",
    "numpy.dtype('f8')",
)

REFUSED: tuple[Expression, ...] = (
    "DoesNotPickle()",
    "memoryview(b'abc')",
    "threading.Lock()",
    "generate([1])",
    "sys.stdout",
    "(lambda: 1)",
    "os",
    "context.Lock()",
    "context.Queue()",
    "context.Value('i', 1)",
    "context.Event()",
)

CONTAINERS = ("list", "tuple", "dict", "set", "twice_in", "Plain", "Record", "cycle_of", "Reduced")

HASHABLE = "None True 1 -1 2**64 1.5 'a' 'b' b'c' (1,2) Frozen(1) Colour.RED MyInt(5)".split()

DOOMED_FUNCTIONS = (
    "returned_not_unpicklable exit_with PicklesElsewhere raise_two_arguments raise_keyword_only"
).split()

EXCEPTIONS: tuple[Expression, ...] = (
    "ValueError()",
    "ValueError('text', 1)",
    "KeyError('key')",
    "KeyError()",
    "IndexError(3)",
    "Exception",
    "ZeroDivisionError('z')",
    "OSError(errno.ENOENT, 'not there', 'file')",
    "OSError(errno.EACCES, 'no', 'from', None, 'to')",
    "OSError('just text')",
    "BlockingIOError(11, 'again', 5)",
    "FileNotFoundError('f')",
    "UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'why')",
    "UnicodeEncodeError('ascii', 'ä', 0, 1, 'why')",
    "StopIteration()",
    "StopIteration('value')",
    "DerivedStop(1)",
    "StopAsyncIteration(2)",
    "ImportError('m', name='n', path='p')",
    "ModuleNotFoundError('m')",
    "AttributeError('a', name='n', obj=3)",
    "NameError('n')",
    "SyntaxError('s', ('f', 1, 2, 'text'))",
    "RecursionError('deep')",
    "MemoryError('m')",
    "BufferError('b')",
    "EOFError('end')",
    "EOFError()",
    "BrokenPipeError(32, 'pipe')",
    "ConnectionResetError('reset')",
    "InterruptedError(4, 'int')",
    "NotImplementedError",
    "AssertionError('a')",
    "TimeoutError('t')",
    "mp.TimeoutError('mp')",
    "mp.ProcessError('p')",
    "mp.BufferTooShort('b')",
    "mp.AuthenticationError('a')",
    "queue.Empty()",
    "queue.Full('full')",
    "TimedOut('own')",
    "Custom('c', [1])",
    "Custom()",
    "WithAttributes(5, {'d': 1})",
    "DefaultArgument()",
    "DefaultArgument('m', 3)",
    "OwnReduce('o')",
    "BecomesAnother('b')",
    "NoText('n')",
    "FalseError('f')",
    "EqualToAll('e')",
    "DerivedKey('k')",
    "DerivedOS(5, 'o')",
    "SlottedError('s')",
    "Mixed('m')",
    "decimal.InvalidOperation('i')",
    "pickle.PicklingError('p')",
    "pickle.UnpicklingError('u')",
    "numpy.exceptions.AxisError('axis')",
    "UserWarning('w')",
    "ResourceWarning('w')",
    "numpy.linalg.LinAlgError('singular')",
    "ExceptionGroup('g', [ValueError(1), Custom('c')])",
)

DECORATIONS = ("with_notes", "with_extra", "with_cause")

POISONED_EXCEPTIONS: tuple[Expression, ...] = (
    "TwoArguments(1, 2)",
    "KeywordOnly(reason='r')",
    "OfBase('b')",
    "SystemExit()",
    "SystemExit(3)",
    "SystemExit('text')",
    "KeyboardInterrupt()",
    "GeneratorExit('g')",
    "with_extra(ValueError('v'), DoesNotUnpickle())",
    "BaseExceptionGroup('g', [KeyboardInterrupt()])",
)

FUNCTIONS = (
    "identity identity identity seen seen seen type_of wrapped doubled nothing mutated mutated "
    "mutated counted_calls counted_calls accumulated accumulated global_total global_list "
    "read_global about_interpreter started_by own_children numpy_random warn "
    "changed_environment read_environment forked in_threads last_of annotated keyword_only "
    "nap array_sum array_view returned_function returned_class returned_instance "
    "returned_exception returned_not_implemented returned_ellipsis returned_bound repr type str "
    "bool len list sorted counted_by_decorator child_process "
    "Record Plain MadeByMeta Colour.RED.__class__ "
    "Adder.of_class Adder.of_nobody joined operator.neg first_is_second cached "
    "written_array"
).split()

# What they return depends on what their worker did before.
WORKER_STATE = frozenset(
    "counted_calls accumulated global_total global_list cached numpy_random changed_environment "
    "read_environment printed atexit_registered of_class counted_by_decorator about_process "
    "forked_child".split()
)

# They raise nothing.
TOTAL_FUNCTIONS = (
    "identity seen type_of wrapped nothing mutated nap warn forked in_threads joined Plain".split()
)

FAILING_FUNCTIONS = (
    "raise_with_state raise_unpicklable "
    "raise_in_context raise_from raise_from_none raise_group raise_class raise_not_exception "
    "raise_if_odd raise_stop_if_two raise_assertion raise_open raise_import raise_attribute "
    "raise_division raise_decode raise_encode raise_syntax raise_unbound raise_json "
    "raise_next_of_empty raise_generator_stop recursive"
).split()

UNSENDABLE_FUNCTIONS = (
    "returned_lambda returned_generator returned_lock returned_unpicklable returned_local "
    "returned_memoryview"
).split()

# They, and what they return, travel by value if they travel.
BY_VALUE = frozenset("lambda closure_over closure_with_cell".split())
BY_VALUE_FUNCTIONS = ("(lambda x: ('lambda', x))", "closure_over([])", "closure_with_cell(0)")


def value(random: Random, depth: int = 2) -> Expression:
    """A value that plain pickle sends."""
    dice = random.random()
    if depth and dice < 0.3:
        return container(random, depth)
    if dice < 0.65:
        return random.choice(SCALARS)
    return random.choice(OBJECTS)


def container(random: Random, depth: int) -> Expression:
    head = random.choice(CONTAINERS)
    if head == "set":
        return ["set", *random.sample(HASHABLE, random.randint(1, 3))]
    if head == "dict":
        keys = random.sample(HASHABLE, random.randint(0, 3))
        return ["dict", *(part for key in keys for part in (key, value(random, depth - 1)))]
    if head in ("list", "tuple", "Plain"):
        return [head, *(value(random, depth - 1) for _ in range(random.randint(0, 3)))]
    if head == "Record":
        return ["Record", "'made'", ["list", value(random, depth - 1)]]
    return [head, value(random, depth - 1)]


def exception(random: Random) -> Expression:
    """An exception that travels."""
    found: Expression = random.choice(EXCEPTIONS)
    if random.random() < 0.25 and found not in ("Exception", "NotImplementedError"):
        decoration = random.choice(DECORATIONS)
        if decoration == "with_notes":
            found = ["with_notes", found, "'a note'", "'another'"]
        elif decoration == "with_extra":
            found = ["with_extra", found, value(random, 1)]
        else:
            found = ["with_cause", found, "KeyError('cause')"]
    return found


def function(random: Random) -> Expression:
    """A callable for one argument."""
    dice = random.random()
    if dice < 0.6:
        return random.choice(FUNCTIONS)
    if dice < 0.72:
        return random.choice(FAILING_FUNCTIONS)
    if dice < 0.78:
        return ["functools.partial", "raising", exception(random)]
    if dice < 0.8:
        return random.choice(UNSENDABLE_FUNCTIONS)
    if dice < 0.82:
        return random.choice(BY_VALUE_FUNCTIONS)
    return stateful(random)


def stateful(random: Random) -> Expression:
    """A callable with state of its own."""
    kind = random.randrange(10)
    if kind == 0:
        return ["Adder", value(random, 1)]
    if kind == 1:
        return [".method", ["Adder", value(random, 1)]]
    if kind == 2:
        return ["Remembering"]
    if kind == 3:
        return ["functools.partial", "append_to", ["list", value(random, 1)]]
    if kind == 4:
        return ["functools.partial", "next_of", "itertools.count(2)"]
    if kind == 5:
        return ["CallableSubclass", "1"]
    if kind == 6:
        return [".append", ["list", "1"]]
    if kind == 7:
        return ["functools.partial", ["Adder", "1"]]
    if kind == 8:
        return ["functools.partial", "joined", value(random, 1), ["=", "key", value(random, 1)]]
    return [".double", "Nested.Inner(5)"]


def items(random: Random, most: int = 6) -> list[Expression]:
    """The items of a source."""
    count = random.choice([0, 1, 1, 2, 3, 3, 4, 5, most])
    if random.random() < 0.5:
        return [str(number) for number in range(count)]
    return [value(random, 1) for _ in range(count)]


def source(random: Random) -> Expression:
    """An iterable of finite length."""
    dice = random.random()
    if dice < 0.45:
        return ["list", *items(random)]
    if dice < 0.6:
        return random.choice(
            [
                "range(7)",
                "range(0)",
                "'abc'",
                "b'ab'",
                "{3: 'x', 1: 'y'}",
                "{5, 6, 7}",
                "frozenset([1])",
                "collections.deque([1, 2])",
                "numpy.arange(3)",
                "numpy.arange(6).reshape(3, 2)",
                "numpy.arange(0)",
                "{1: 2}.items()",
                "{1: 2, 3: 4}.values()",
                "zip('ab', [1, 2])",
                "enumerate('ab')",
                "map(str, range(3))",
                "filter(None, [0, 1, 2])",
                "itertools.islice(itertools.count(), 4)",
                "itertools.chain([1], (2,))",
                "memoryview(b'ab')",
                "array.array('h', [1, 2])",
                "reversed([1, 2, 3])",
                "'x' * 300",
                "range(1500)",
            ]
        )
    inner: Expression = ["list", *items(random)]
    head = random.choice(
        [
            "generate",
            "iter",
            "tuple",
            "Sized",
            "Indexed",
            "Hinting",
            "generate_then_raise",
            "counted",
        ]
    )
    if head == "tuple":
        return ["tuple", *items(random)]
    if head == "Hinting":
        return [head, inner, random.choice(["0", "1", "3", "1000"])]
    if head == "generate_then_raise":
        return [head, inner, exception(random)]
    if head == "counted":
        return [head, inner, "taken"]
    return [head, inner]


def arguments_source(random: Random) -> Expression:
    """An iterable of argument tuples."""
    dice = random.random()
    if dice < 0.2:
        return random.choice(
            ["zip('ab', [1, 2])", "enumerate('ab')", "{1: 2}.items()", "['ab', 'cd']", "[]", "[1]"]
        )
    count = random.choice([1, 2])
    listed: Expression = [
        "list",
        *(
            [random.choice(["tuple", "list"]), *(value(random, 1) for _ in range(count))]
            for _ in range(random.randint(1, 4))
        ),
    ]
    return listed if dice < 0.8 else ["generate", listed]
