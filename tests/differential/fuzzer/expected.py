"""The differences that COMPATIBILITY.md promises, as rules.

A rule says of one line of a program's output why millpond's may be another. It quotes the words of
COMPATIBILITY.md that it stands for; a test looks for them there.

A rule without a promise is a fault that is known and not mended yet; it goes when the fault goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fuzzer.compare import HANGS, Difference
from fuzzer.program import names_in

Predicate = Callable[[dict[str, Any], Difference], bool]


@dataclass(frozen=True)
class Rule:
    """Why a line may differ; without a promise, it is a known fault."""

    name: str
    promise: str
    applies: Predicate
    note: str = ""


RULES: list[Rule] = []


def rule(promise: str) -> Callable[[Predicate], Predicate]:
    """Make a predicate a rule."""

    def add(predicate: Predicate) -> Predicate:
        RULES.append(Rule(predicate.__name__, promise, predicate, predicate.__doc__ or ""))
        return predicate

    return add


known_fault = rule("")


def explain(program: dict[str, Any], difference: Difference) -> str | None:
    """Return the name of the rule that a difference falls under."""
    for candidate in RULES:
        if candidate.applies(program, difference):
            return candidate.name
    return None


def _step(program: dict[str, Any], difference: Difference) -> Any:
    """The data of the step that printed the line, with the functions that it may name."""
    if not difference.step or int(difference.step) >= len(program["steps"]):
        return {}
    step = program["steps"][int(difference.step)]
    used = names_in(step)
    functions = program.get("functions", [])
    named = [item for number, item in enumerate(functions) if f"f{number}" in used]
    return {**step, "functions": named}


def _uses(program: dict[str, Any], difference: Difference, *names: str) -> bool:
    return bool(names_in(_step(program, difference)) & set(names))


def _never_there(difference: Difference, error: str) -> bool:
    never = difference.plain == f"raised {_NEVER}"
    return never and difference.ours.startswith(f"raised {error}(")


def _without_raised(text: str) -> str:
    return text.removeprefix("raised ")


# In `plain`, a call that would never end has been given up.
_NEVER = "TimeoutError()"
_BROKEN = "BrokenProcessPool("


@rule("a task raises `SystemExit`, `KeyboardInterrupt` or another exception that ends programs")
def exit_in_a_task(program: dict[str, Any], difference: Difference) -> bool:
    return _never_there(difference, "TaskExited")


@rule("an exception does not pickle, or does not unpickle")
def exception_does_not_travel(program: dict[str, Any], difference: Difference) -> bool:
    if _uses(program, difference, "raise_unpicklable"):
        return "cannot pickle" in difference.plain and "RemoteTaskError(" in difference.ours
    without_type = (_NEVER, "MaybeEncodingError(", _BROKEN)
    return _without_raised(difference.plain).startswith(without_type) and _without_raised(
        difference.ours
    ).startswith("RemoteTaskError(")


@rule("arguments or a result do not unpickle")
def value_does_not_unpickle(program: dict[str, Any], difference: Difference) -> bool:
    refusals = (
        "ValueError('not to be unpickled')",
        "LookupError('made elsewhere')",
        # The exception is the argument of the function that raises it.
        "TypeError('KeywordOnly.__init__() ",
        'TypeError("TwoArguments.__init__() ',
    )
    return _without_raised(difference.plain).startswith((_NEVER, _BROKEN)) and _without_raised(
        difference.ours
    ).startswith(refusals)


@rule("the initializer raises")
def initializer_raises(program: dict[str, Any], difference: Difference) -> bool:
    return _never_there(difference, "BrokenPool")


@rule("a worker is killed, crashes or calls `os._exit`")
def worker_dies(program: dict[str, Any], difference: Difference) -> bool:
    return _never_there(difference, "WorkerCrashed")


@rule("the future of the call that it was running fails")
def worker_of_executor_dies(program: dict[str, Any], difference: Difference) -> bool:
    broken = difference.plain.startswith(f"raised {_BROKEN}")
    return broken and difference.ours.startswith("raised FutureCrashed(")


@rule("the executor is broken")
def after_a_broken_executor(program: dict[str, Any], difference: Difference) -> bool:
    doomed = any(step.get("doom") for step in program["steps"])
    return doomed and difference.label.startswith("after ") and _BROKEN in difference.plain


@rule("travels by value, through `cloudpickle`")
def function_by_value(program: dict[str, Any], difference: Difference) -> bool:
    refused = re.search(
        r"Can\\?'t (?:pickle|get) local object|Can\\?'t pickle <function", difference.plain
    )
    return bool(refused) and _uses(
        program, difference, "lambda", "closure_over", "closure_with_cell"
    )


@rule("an item does not pickle")
def put_of_what_does_not_pickle(program: dict[str, Any], difference: Difference) -> bool:
    step = _step(program, difference)
    return (
        program["kind"] == "queue"
        and step.get("op") == "refused"
        and difference.plain == "None"
        and difference.ours.startswith(("raised TypeError(", "raised AttributeError("))
    )


@rule("handles may be items of queues and arguments of tasks")
def handles_pickle(program: dict[str, Any], difference: Difference) -> bool:
    refused = r"only be shared between processes through inheritance|cannot pickle 'mmap.mmap'"
    return re.search(refused, difference.plain) is not None and _bytes_are_shown(difference.ours)


@rule("it is the same value there")
def handles_travel_to_tasks(program: dict[str, Any], difference: Difference) -> bool:
    return (
        program["kind"] in ("pool", "executor")
        and "only be shared between processes through inheritance" in difference.plain
        and not difference.ours.startswith("exit: ")
    )


@rule("is refused with plain pickle's error, with notes")
def refused_with_a_note(program: dict[str, Any], difference: Difference) -> bool:
    # Which quotes a line has depends on what is in it.
    theirs, mine = (
        re.sub(r"[\\'\"]", "", text.partition("… ")[0])
        for text in (difference.plain, difference.ours)
    )
    found = re.search(r" (?:with \{|says .*?)?__notes__: \[nor can it be pickled by value: ", mine)
    return found is not None and theirs.startswith(mine[: found.start()])


def _bytes_are_shown(text: str) -> bool:
    return re.match(r"""(?:\[["'])?b\\?["']""", text) is not None


@rule("the next `acquire()`, blocking or not, raises `OwnerDied`")
def holder_was_killed(program: dict[str, Any], difference: Difference) -> bool:
    # What follows the killing is another story: the standard library's lock is lost.
    killed = [n for n, step in enumerate(program["steps"]) if step.get("where") == "killed"]
    return bool(killed) and int(difference.step or killed[0]) >= killed[0]


@rule("a child made by `os.fork` alone uses a lock that its parent's thread holds")
def forked_holder(program: dict[str, Any], difference: Difference) -> bool:
    return program["kind"] == "synchronisation" and difference.label == "in a forked child"


@rule("an exception in a chunk of `imap`")
def goes_on_after_an_exception(program: dict[str, Any], difference: Difference) -> bool:
    step = _step(program, difference)
    if step.get("op") not in ("imap", "imap_unordered") or (step.get("chunksize") or 1) < 2:
        return False
    # The standard library's ends where the exception is.
    theirs, cut, _ = difference.plain.partition("… ")
    theirs = theirs.removesuffix(", 'stop StopIteration()']")
    # Of a line that was cut it may lie in the rest.
    return ("raised " in theirs or cut != "") and difference.ours.startswith(theirs)


@rule("`__getstate__` of a callable that goes with each chunk")
def state_taken_more_often(program: dict[str, Any], difference: Difference) -> bool:
    # A long line is cut, and has a digest of the whole.
    theirs, mine = (
        re.sub(r"'taken': \d+", "", text.partition("… ")[0])
        for text in (difference.plain, difference.ours)
    )
    shorter = min(len(theirs), len(mine))
    return "'taken': " in difference.ours and theirs[:shorter] == mine[:shorter]


@rule("a call that waits for ever now and then")
def plain_hangs(program: dict[str, Any], difference: Difference) -> bool:
    # It went on to its end here; what it printed before that is compared.
    return difference.plain == HANGS and difference.ours != HANGS


@rule("a call raises an exception that is false")
def false_exception(program: dict[str, Any], difference: Difference) -> bool:
    return program["kind"] == "executor" and "FalseError(" in difference.ours


@rule("the input of `imap` raises")
def input_raises_itself(program: dict[str, Any], difference: Difference) -> bool:
    if not _uses(program, difference, "generate_then_raise"):
        return False
    # Where it was sent, it has lost its cause, or has become another exception.
    others = ("BecomesAnother", "OwnReduce")
    # Which quotes a line has depends on what is in it.
    theirs, mine = (
        re.sub(r""" from (?!Remote)\w+ (?:\\?'[^']*'|"[^"]*")""", "", text.partition("… ")[0])
        for text in (difference.plain, difference.ours)
    )
    theirs, mine = (re.sub(r"[\\'\"]", "", text) for text in (theirs, mine))
    return (
        theirs.startswith(mine)
        or mine.startswith(theirs)
        or (
            _uses(program, difference, *others)
            and any(f"raised {other}(" in mine for other in others)
        )
    )


_STOPS = ("raise_stop_if_two", "raise_next_of_empty", "DerivedStop", "StopIteration")


@rule("a task of `map`, `starmap` raises `StopIteration`")
def stop_of_map(program: dict[str, Any], difference: Difference) -> bool:
    of_map = _step(program, difference).get("op", "").startswith(("map", "starmap"))
    return program["kind"] == "pool" and of_map and _raises_stop(program, difference)


@rule("a task of `imap` with chunks of several items raises `StopIteration`")
def stop_of_imap(program: dict[str, Any], difference: Difference) -> bool:
    step = _step(program, difference)
    several = step.get("op") in ("imap", "imap_unordered") and (step.get("chunksize") or 1) > 1
    return several and _raises_stop(program, difference)


def _raises_stop(program: dict[str, Any], difference: Difference) -> bool:
    return (
        _uses(program, difference, *_STOPS)
        and re.search(
            r"raised (?:StopIteration|DerivedStop)\(|a task raised (?:StopIteration|DerivedStop)",
            difference.ours,
        )
        is not None
    )


@rule("`map` with a `chunksize` below 1")
def map_in_chunks_of_nothing(program: dict[str, Any], difference: Difference) -> bool:
    return difference.ours.startswith("raised ValueError('Chunksize must be 1+, not ")


@rule("what is to be called is not callable, or its arguments are not iterable")
def refused_at_once(program: dict[str, Any], difference: Difference) -> bool:
    call = _step(program, difference).get("call", "")
    mine = difference.ours
    at_once = mine.removeprefix("raised ").startswith("TypeError(") and "Remote" not in mine
    return (
        at_once
        and re.search(r"\((?:5|None)\b|identity, (?:5|\(1,\), 5)\)", call) is not None
        and ("is not callable" in mine or "is not iterable" in mine or "must be" in mine)
    )


@rule("a result does not pickle")
def encoding_error_has_a_cause(program: dict[str, Any], difference: Difference) -> bool:
    theirs, mine = difference.plain, difference.ours
    if "MaybeEncodingError(" not in theirs:
        return False
    shorter, longer = sorted(map(_without_tail, (theirs, mine)), key=len)
    return longer.startswith(shorter)


def _without_tail(text: str) -> str:
    return text.partition(" from RemoteTraceback")[0].partition("… ")[0]


@rule("the message for an unknown start method names the known ones")
def unknown_start_method(program: dict[str, Any], difference: Difference) -> bool:
    start = "raised ValueError(\"cannot find context for 'none'"
    return difference.plain.startswith(start) and difference.ours.startswith(start)


@rule("`atexit` handlers that a task registers")
def atexit_of_workers(program: dict[str, Any], difference: Difference) -> bool:
    return "atexit" in (difference.label, difference.ours.split(":")[0])


@rule("`Barrier` with less than one party")
def barrier_without_parties(program: dict[str, Any], difference: Difference) -> bool:
    return "context.Barrier(" in _step(program, difference).get("call", "") and (
        difference.ours.startswith("raised ValueError('parties must be > 0')")
    )


@rule("a pool in a daemonic process")
def pool_in_a_daemon(program: dict[str, Any], difference: Difference) -> bool:
    return _uses(program, difference, "own_pool") and difference.ours.startswith("own pool: ")


@rule("`Condition(lock)` with a lock of `threading`")
def condition_of_something(program: dict[str, Any], difference: Difference) -> bool:
    return "context.Condition(5)" in _step(program, difference).get(
        "call", ""
    ) and difference.ours.startswith("raised TypeError(")


@rule("also where chunks have one item")
def encoding_error_shows_the_chunk(program: dict[str, Any], difference: Difference) -> bool:
    step = _step(program, difference)
    single = step.get("op") in ("imap", "imap_unordered") and step.get("chunksize") in (None, 1)
    return (
        single
        and "MaybeEncodingError(" in difference.plain
        and "MaybeEncodingError(" in difference.ours
    )


@rule("calls `os._exit`, with whatever status")
def holder_left_by_os_exit(program: dict[str, Any], difference: Difference) -> bool:
    forked = [
        n
        for n, step in enumerate(program["steps"])
        if step.get("where") == "fork" and re.search(r"acquire|__enter__", step["call"])
    ]
    return bool(forked) and int(difference.step or len(program["steps"])) > forked[0]


@rule("`signal.getsignal(SIGINT)` in a worker")
def no_default_handler_of_sigint(program: dict[str, Any], difference: Difference) -> bool:
    asked = _uses(program, difference, "about_interpreter")
    own = difference.ours.replace("main__', False,", "main__', True,")
    # A long line is cut, and has a digest of the whole.
    return asked and own.partition("… ")[0][:350] == difference.plain.partition("… ")[0][:350]


@rule("a module or a standard stream as argument of a task, or as item of a queue or pipe")
def value_by_cloudpickle(program: dict[str, Any], difference: Difference) -> bool:
    refused = r"cannot pickle (?:\\?'module\\?' object|\\?'\S*TextIOWrapper)"
    return re.search(refused, difference.plain) is not None and _uses(
        program, difference, "os", "stdout"
    )


@rule("`_is_mine()` knows what other processes acquired and released")
def permit_of_another(program: dict[str, Any], difference: Difference) -> bool:
    call = _step(program, difference).get("call", "")
    asked = "_semlock._is_mine()" in call or "repr(it)" in call
    earlier = _earlier(program, difference)
    return asked and any(step.get("where") != "here" for step in earlier)


@rule("`_is_mine()` knows what other processes acquired and released, and of a semaphore")
def permit_of_another_thread(program: dict[str, Any], difference: Difference) -> bool:
    asked = "_semlock._is_mine()" in _step(program, difference).get("call", "")
    return asked and (difference.plain, difference.ours) == ("['False']", "['True']")


@rule("travels by value, see [By value](#by-value)")
def initializer_by_value(program: dict[str, Any], difference: Difference) -> bool:
    by_value = names_in(program.get("initializer")) & {*_NOT_SENT_THERE, "lambda"}
    return program.get("method", "fork") != "fork" and bool(by_value) and difference.label == "exit"


# Arguments of tasks that only millpond sends.
_NOT_SENT_THERE = {"os", "stdout", "Lock"}
# Functions that keep something from call to call in their worker.
_KEEPING = set(
    "accumulated counted_calls counted_by_decorator global_total global_list cached".split()
)


def _keeps_count(program: dict[str, Any], difference: Difference) -> bool:
    """Whether the state of the workers shows in the line."""
    calls = program["kind"] in ("pool", "executor")
    return calls and _uses(program, difference, *_KEEPING)


def _earlier(program: dict[str, Any], difference: Difference) -> list[Any]:
    steps: list[Any] = program["steps"][: int(difference.step or 0)]
    return steps


@rule("a module or a standard stream as argument of a task, or as item of a queue or pipe")
def task_that_is_refused_there(program: dict[str, Any], difference: Difference) -> bool:
    """A worker's state and its number of tasks count a call that the standard library refused."""
    earlier = _earlier(program, difference)
    return _keeps_count(program, difference) and any(names_in(s) & _NOT_SENT_THERE for s in earlier)


@rule("the exception is sent to a worker, which raises it")
def task_that_is_none(program: dict[str, Any], difference: Difference) -> bool:
    """The standard library counts an input's exception as a task of a worker."""
    earlier = _earlier(program, difference)
    failing = any("generate_then_raise" in names_in(step) for step in earlier)
    return failing and _keeps_count(program, difference)


@rule("nobody takes results of `imap`, `imap_unordered`")
def tasks_that_nobody_reads(program: dict[str, Any], difference: Difference) -> bool:
    earlier = _earlier(program, difference)
    imaps = [step for step in earlier if step.get("op", "").startswith("imap")]
    unread = any(step["taken"] is not None for step in imaps)
    return unread and _keeps_count(program, difference)


@rule("`send_bytes` of a view that is not contiguous")
def view_that_is_refused_first(program: dict[str, Any], difference: Difference) -> bool:
    there = difference.plain.startswith("raised BrokenPipeError(")
    return there and "casts are restricted to C-contiguous views" in difference.ours
