"""What runs in a pool's workers."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
from itertools import starmap
from multiprocessing import context, process, util
from time import perf_counter

from millpond import _accounts
from millpond._engine import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from millpond._engine import Worker
    from millpond._plan import Plan

CALL = 0
"""Arguments are `(args, kwds or None)`; the result is the function's."""
MAP = 1
"""Arguments are a list of items; the result is the list of what the function makes of each."""
STARMAP = 2
"""As `MAP`, each item being the function's arguments."""

_EXACT = 1024
"""Chunks of at most so many items keep note of each item that is begun."""
_NOTE_INTERVAL = 1e-4
"""Larger ones keep note of blocks of items that take about so long, in seconds."""


def main(
    worker: Worker, number: int, plan: Plan | None, pickled: tuple[bytes, bytes] | None
) -> int:
    """Turn the forked process into the worker; return its exit code.

    Args:
        worker: the engine's part.
        number: the worker's number within its pool, counted from 1.
        plan: how to set up, where the zygote was forked from the pool's owner.
        pickled: the preparation data and the plan, pickled, in a new interpreter.
    """
    try:
        if pickled is not None:
            plan = _prepare(*pickled)
    except BaseException as error:
        # This will not be better in another worker; the pool says so to whoever uses it.
        worker.unfit(*_accounts.tell(error))
        return 1
    assert plan is not None, "a forked zygote has the plan in memory"
    # What the program registered is for the program's end. What the tasks register, and with it
    # the finalizers of the standard library, is for this process's; CPython does so since 3.13.
    atexit._clear()
    atexit.register(util._exit_function)  # type: ignore[attr-defined]
    own = _make_process(worker, number, plan)
    try:
        sentinel = os.pidfd_open(plan.owner_pid)
    except ProcessLookupError:
        # The owner is dead, and the zygote about to end this process too.
        return 1
    try:
        code: int = own._bootstrap(parent_sentinel=sentinel)
    finally:
        atexit._run_exitfuncs()
    return code


def _prepare(preparation: bytes, plan: bytes) -> Plan:
    """Set the interpreter up like the owner's and unpickle the plan there."""
    from multiprocessing import spawn

    current = process.current_process()
    current._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(pickle.loads(preparation))
        return pickle.loads(plan)  # type: ignore[no-any-return]
    finally:
        del current._inheriting  # type: ignore[attr-defined]


def _make_process(worker: Worker, number: int, plan: Plan) -> Any:
    """Make the object that `current_process()` returns in the worker."""
    ctx = context._concrete_contexts[plan.method]  # type: ignore[attr-defined]
    own = ctx.Process(target=_run, args=(worker, plan), daemon=not plan.of_executor)
    own._identity = plan.worker_identity(number)
    own.name = plan.worker_name(number)
    # It was made in the zygote, but its parent is the process that made the pool.
    own._parent_pid = plan.owner_pid
    own._parent_name = plan.owner_name
    return own


def _run(worker: Worker, plan: Plan) -> None:
    """Set the worker up and work until the pool lets it go."""
    if plan.initializer is not None:
        try:
            plan.initializer(*plan.initargs)
        except BaseException as error:
            worker.unfit(*_accounts.tell(error))
            raise SystemExit(1) from None
    worker.ready()
    while True:
        try:
            _work(worker, plan)
            break
        except KeyboardInterrupt as error:
            # It came between two tasks, or in sending a result that must not be owed for ever.
            if worker.holds_task:
                worker.fail(*_accounts.tell(error))
    util.debug("worker exiting")


class Interrupts:
    """Lets Ctrl-C interrupt a task, but not the worker, which would leave its caller waiting.

    A Ctrl-C at a terminal reaches the zygote and the workers as well as the program. A worker that
    runs a task gets KeyboardInterrupt there, which fails the task; what is idle or being set up
    goes on, and ends with the program if that is what the program does.
    """

    def __init__(self) -> None:
        self.in_task = False

    def install(self) -> None:
        """Take SIGINT over, unless the program handles it in its own way."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        if self.in_task:
            raise KeyboardInterrupt


interrupts = Interrupts()
"""Of this process; the zygote installs it, and its workers inherit it."""


def _work(worker: Worker, plan: Plan) -> None:
    functions: dict[int, Callable[..., Any]] = {}
    while (task := worker.next()) is not None:
        number, op, _items = task
        try:
            function = functions.get(number)
            if function is None:
                for forgotten in worker.forgotten():
                    functions.pop(forgotten, None)
                function = functions[number] = _load(worker.function(number))
            arguments = worker.arguments()
            interrupts.in_task = True
            if op == CALL:
                args, kwds = arguments
                value = function(*args, **kwds) if kwds else function(*args)
            elif op == MAP:
                value = _apply_all(map, function, arguments, worker)
            else:
                value = _apply_all(starmap, function, arguments, worker)
            interrupts.in_task = False
        except BaseException as error:
            interrupts.in_task = False
            worker.fail(*_accounts.tell(error))
            error.__traceback__ = None
        else:
            _finish(worker, value, plan)
        # What the task worked on is not kept until the next one comes.
        arguments = args = kwds = value = None


def _load(data: bytes) -> Callable[..., Any]:
    return pickle.loads(data)  # type: ignore[no-any-return]


def _apply_all(apply: Any, function: Any, items: list[Any], worker: Worker) -> list[Any]:
    """Return what the function makes of each item, keeping note of how far it got for a crash.

    Args:
        apply: `map` or `starmap`.
        function: the task's.
        items: of the task's chunk.
        worker: where the note is kept.
    """
    if len(items) == 1:
        return list(apply(function, items))
    if len(items) <= _EXACT:
        return list(apply(function, Progress(items, worker)))
    # In large chunks a note for each item would cost as much as a trivial function does.
    values: list[Any] = []
    count = 1
    while len(values) < len(items):
        first = len(values)
        worker.at_items(first, count)
        began = perf_counter()
        values += apply(function, items[first : first + count])
        quick = perf_counter() - began < _NOTE_INTERVAL
        count = min(2 * count, _EXACT) if quick else max(count // 2, 1)
    return values


def _finish(worker: Worker, value: object, plan: Plan) -> None:
    try:
        worker.finish(value)
    except (Exception, SystemExit) as error:
        # It does not pickle, or there is no memory for it.
        if not plan.of_executor and isinstance(error, Exception):
            worker.fail(*_accounts.tell(_accounts.unsendable(error, value)))
        else:
            worker.fail(*_accounts.tell(error))
