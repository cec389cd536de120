"""What runs in a pool's workers."""

from __future__ import annotations

import atexit
import linecache
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing import process, spawn, util
from time import perf_counter

from millpond import _cpython
from millpond._engine_loader import load_engine
from millpond._pickling import by_value, codec, passing
from millpond._pool import errors, tracker
from millpond._pool.retrying import kinds_of
from millpond.exceptions import TaskTimeout, TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from millpond._engine import WARNING_SIGNAL, NewWorker, Progress, Worker
    from millpond._pool.worker_spec import WorkerSpec
else:
    Progress = load_engine().Progress
    WARNING_SIGNAL = load_engine().WARNING_SIGNAL

CALL = 0
"""Arguments are `(args, kwds or None)`; the result is the function's."""
MAP = 1
"""Arguments are a list of items; the result is the list of what the function makes of each."""
STARMAP = 2
"""As `MAP`, each item being the function's arguments."""
CARRIED = 0x20
"""A flag: the function comes with the arguments, before them in a tuple."""

SEEDED = 0x08
"""A flag: each item comes after the numbers of its call and of itself, and has its own streams."""

_EXACT = 1024
"""Chunks of at most so many items keep note of each item that is begun."""
_NOTE_INTERVAL = 1e-4
"""Larger ones keep note of blocks of items that take about so long, in seconds."""


def main(
    new: NewWorker, spec: WorkerSpec | None, is_prepared: bool, flaw: ImportError | None = None
) -> int:
    """Turn the forked process into the worker; return its exit code.

    Args:
        new: the engine's part.
        spec: how to set up, where the zygote was forked from the pool's owner.
        is_prepared: whether the zygote was forked from an interpreter with the program in it.
        flaw: why the worker cannot be set up.
    """
    number, tag, passed = new.number, new.tag, new.passed
    worker = new.attach(codec.dumps_result, codec.loads)
    try:
        if flaw is not None:
            raise flaw
        if spec is None:
            spec = _receive(passed, is_prepared)
    except BaseException as error:
        # This will not be better in another worker; the pool says so to whoever uses it.
        worker.unfit(*errors.tell(error))
        return 1
    if spec.method != "spawn":
        # What the program registered is for the program's end. What the tasks register, and with
        # it the finalizers of the standard library, is for this process's; CPython does so since
        # 3.13.
        atexit._clear()
        atexit.register(util._exit_function)  # type: ignore[attr-defined]
    own = _make_process(worker, number, tag, spec)
    try:
        sentinel = os.pidfd_open(spec.owner_pid)
    except ProcessLookupError:
        # The owner is dead, and the zygote about to end this process too.
        return 1
    try:
        code: int = own._bootstrap(parent_sentinel=sentinel)
    finally:
        atexit._run_exitfuncs()
    return code


def _receive(passed: list[int], is_prepared: bool) -> WorkerSpec:
    """Set the interpreter up like the owner's, and unpickle the spec there.

    Args:
        passed: the memory with the pickles, the resource tracker's pipe, and the descriptors that
            the spec refers to.
        is_prepared: whether the interpreter has imported the program.
    """
    # The other workers have the same open file: none may move its position.
    pickled = os.pread(passed[0], os.fstat(passed[0]).st_size, 0)
    os.close(passed[0])
    preparation, spec = pickle.loads(pickled)
    data = preparation_of(preparation)
    if is_prepared:
        # Loggers are each process's own. And without the second, millpond would be taken out.
        kept = ("log_", "millpond")
        data = {name: value for name, value in data.items() if name.startswith(kept)}
    tracker.take(passed[1])
    passing.received[:] = passed[2:]
    try:
        made: WorkerSpec = prepare(data, spec)
    except RuntimeError as error:
        raise _explained(error) from None
    by_value.enable(made.by_value)
    return made


def _explained(error: RuntimeError) -> RuntimeError:
    """Return the error of a program that starts processes when it is imported, or another as it is.

    In the standard library each of the workers prints what is wrong, and how it is put right.
    """
    refused = _cpython.get("multiprocessing.spawn", "_check_not_importing_main").__code__
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames or frames[-1][0].f_code is not refused:
        return error
    where = "the program starts processes when it is imported"
    for frame, line in frames:
        if frame.f_globals.get("__name__") == "__mp_main__":
            file = frame.f_code.co_filename
            text = linecache.getline(file, line).strip()
            where = f"{file}, line {line}, starts processes when it is imported:\n\n    {text}\n"
            break
    return RuntimeError(
        f"{where}\nEach new process imports the program. Guard what the program runs:\n\n"
        '    if __name__ == "__main__":\n'
        "        main()"
    )


def preparation_of(pickled: bytes) -> dict[str, Any]:
    """Return what the owner tells a new interpreter of itself, once millpond is there."""
    data: dict[str, Any] = pickle.loads(pickled)
    return data


def prepare(data: dict[str, Any], spec: bytes | None = None) -> Any:
    """Set the interpreter up, as a spawned process of `multiprocessing` does.

    Args:
        data: what the owner tells of itself.
        spec: a pickle of what is to be returned.
    """
    current = process.current_process()
    current._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(data)
        return None if spec is None else pickle.loads(spec)
    finally:
        del current._inheriting  # type: ignore[attr-defined]


def _make_process(worker: Worker, number: int, tag: int, spec: WorkerSpec) -> Any:
    """Make the object that `current_process()` returns in the worker."""
    own = spec.process_class(target=_run, args=(worker, spec), daemon=not spec.of_executor)
    own._identity = spec.worker_identity(number, tag)
    own.name = spec.worker_name(number, tag)
    # It was made in the zygote, but its parent is the process that made the pool.
    own._parent_pid = spec.owner_pid
    own._parent_name = spec.owner_name
    return own


def _run(worker: Worker, spec: WorkerSpec) -> None:
    """Set the worker up and work until the pool lets it go."""
    # A task of a pool with a seed may have made the pool, and its stream is no worker's of this.
    if (streams := sys.modules.get("millpond._pool.streams")) is not None:
        streams.end()
    try:
        spec.settings.apply()
        if spec.initializer is not None:
            spec.initializer(*spec.initargs)
            _end_if_forked(worker)
    except BaseException as error:
        _end_if_forked(worker, error)
        worker.unfit(*errors.tell(error))
        raise SystemExit(1) from None
    os.register_at_fork(after_in_child=_forget_items)
    warnings = Warnings(worker)
    try:
        signal.signal(WARNING_SIGNAL, warnings)
    except (OSError, ValueError):
        # Tasks that take too long are killed without.
        pass
    else:
        worker.heed_warnings()
    worker.ready()
    while True:
        try:
            _work(worker, spec, warnings)
            break
        except KeyboardInterrupt as error:
            # It came between two tasks, or in sending a result that must not be owed for ever.
            _end_if_forked(worker, error)
            if worker.holds_task:
                worker.fail(*errors.tell(error))
    if spec.settings.finalizer is not None:
        _finalize(worker, spec.settings.finalizer)
    if worker.is_ending:
        _end_with_pool()
    util.debug("worker exiting")


def _finalize(worker: Worker, finalizer: Callable[[], object]) -> None:
    """Call what the program wants called at the end of a worker; what it raises is printed."""
    try:
        finalizer()
    except BaseException as error:
        _end_if_forked(worker, error)
        traceback.print_exc()
        sys.stderr.flush()
    _end_if_forked(worker)


def _end_with_pool() -> None:
    """End an idle worker of a pool that was terminated as the busy ones end, by SIGTERM.

    No task of it is cut off, so it keeps the locks and permits that it holds.
    """
    load_engine().keep_holdings()
    os.kill(os.getpid(), signal.SIGTERM)
    # A task has had the signal ignored.
    os._exit(1)


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


class Warnings:
    """Raises `TaskTimeout` in a task that the pool has warned of, and in nothing else.

    The signal may come late, when the task has ended: only the engine knows whether it has.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._missed = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        # Between two tasks the worker is the engine's, and cannot be asked.
        if not interrupts.in_task:
            self._missed = True
        elif (warned := self._worker.warned()) is not None:
            timeout, _ = warned
            raise TaskTimeout(f"the task takes longer than its timeout of {timeout:.3g} s")

    def catch_up(self) -> None:
        """Raise what came too early for the task that begins: while its arguments were unpickled.

        Raises:
            TaskTimeout: the task was warned of.
        """
        if self._missed:
            self._missed = False
            self(WARNING_SIGNAL, None)


def _work(worker: Worker, spec: WorkerSpec, warnings: Warnings) -> None:
    functions: dict[int, Callable[[], Any]] = {}
    function = None
    while (task := worker.next()) is not None:
        number, op, _items = task
        try:
            arguments = worker.arguments()
            if op & CARRIED:
                op &= ~CARRIED
                function, arguments = arguments
            else:
                recall = functions.get(number)
                if recall is None:
                    for forgotten in worker.forgotten():
                        functions.pop(forgotten, None)
                    recall = functions[number] = codec.decoder(worker.function(number))
                function = recall()
            _end_if_forked(worker)
            interrupts.in_task = True
            warnings.catch_up()
            if op & SEEDED:
                value = _apply_seeded(op & ~SEEDED, function, arguments, worker, spec)
            elif op == CALL:
                args, kwds = arguments
                value = function(*args, **kwds) if kwds else function(*args)
            elif op == MAP:
                value = _apply_all(_map, function, arguments, worker)
            else:
                value = _apply_all(_starmap, function, arguments, worker)
            interrupts.in_task = False
        except BaseException as error:
            interrupts.in_task = False
            _end_if_forked(worker, error)
            shown: BaseException = error
            if isinstance(error, TaskTimeout) and (warned := worker.warned()) is not None:
                item = None if op & ~SEEDED == CALL else 0
                name = getattr(function, "__qualname__", repr(function))
                shown = TaskTimeoutError(os.getpid(), warned[0], name, item, False, warned[1])
                shown.__traceback__ = error.__traceback__
            worker.fail(*errors.tell(shown), isinstance(shown, kinds_of(function)))
            shown.__traceback__ = error.__traceback__ = None
            del shown
        else:
            _end_if_forked(worker)
            _finish(worker, value, spec)
        # What the task worked on is not kept until the next one comes.
        function = arguments = args = kwds = value = None


# Not the iterators of these names, which take a StopIteration of the function's for their own end.


def _map(function: Any, items: Any) -> list[Any]:
    return [function(item) for item in items]


def _starmap(function: Any, items: Any) -> list[Any]:
    # What is no tuple becomes one apart from the call, so that the error for an item that is not
    # iterable does not speak of the function.
    return [function(*(item if type(item) is tuple else tuple(item))) for item in items]


def _apply_seeded(op: int, function: Any, arguments: Any, worker: Worker, spec: WorkerSpec) -> Any:
    """Return what the function makes of each item, or of its arguments, with the item's streams."""
    from millpond._pool import streams

    seed = spec.settings.seed or 0
    if op == CALL:
        call, item, (args, kwds) = arguments
        streams.begin(seed, call, item)
        return function(*args, **kwds or {})
    apply = _map if op == MAP else _starmap
    return _apply_all(
        lambda function, items: apply(function, streams.items(seed, items)),
        function,
        arguments,
        worker,
    )


_items: list[Any] = []
"""What the task's function is being applied to, in a process that has the task."""


def _forget_items() -> None:
    """Keep a child that a task forks from working on the items that are left."""
    _items.clear()


def _end_if_forked(worker: Worker, error: BaseException | None = None) -> None:
    """End this process if a task has forked and this is the child.

    What the child was made for is over when control is back here: it ends like a process whose
    target has returned, or raised `error`. What the worker has to do at its end, and its children,
    are no business of it.
    """
    if not worker.is_foreign:
        return
    code = 0
    try:
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            code = (error.code or 0) & 0xFF
        elif error is not None:
            code = 1
            if isinstance(error, SystemExit):
                print(error.code, file=sys.stderr)
            else:
                traceback.print_exception(error)
        threading._shutdown()  # type: ignore[attr-defined]
        util._flush_std_streams()  # type: ignore[attr-defined]
    finally:
        os._exit(code)


def _apply_all(apply: Any, function: Any, items: list[Any], worker: Worker) -> list[Any]:
    """Return what the function makes of each item, keeping note of how far it got for a crash.

    Args:
        apply: `_map` or `_starmap`.
        function: the task's.
        items: of the task's chunk.
        worker: where the note is kept.
    """
    if len(items) == 1:
        return apply(function, items)  # type: ignore[no-any-return]
    global _items
    if len(items) <= _EXACT:
        _items = items
        return apply(function, Progress(items, worker))  # type: ignore[no-any-return]
    # In large chunks a note for each item would cost as much as a trivial function does.
    values: list[Any] = []
    count = 1
    while len(values) < len(items):
        first = len(values)
        worker.at_items(first, count)
        began = perf_counter()
        _items = items[first : first + count]
        values += apply(function, _items)
        _end_if_forked(worker)
        quick = perf_counter() - began < _NOTE_INTERVAL
        count = min(2 * count, _EXACT) if quick else max(count // 2, 1)
    return values


def _finish(worker: Worker, value: object, spec: WorkerSpec) -> None:
    try:
        worker.finish(value)
    except (Exception, SystemExit) as error:
        _end_if_forked(worker)
        # It does not pickle, or there is no memory for it.
        if not spec.of_executor and isinstance(error, Exception):
            worker.fail(*errors.tell(errors.unsendable(error, value)))
        else:
            worker.fail(*errors.tell(error))
