"""How a pool's workers begin: what runs after the fork, and in the interpreter that forks them."""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import signal
import sys
from multiprocessing import util

from millpond._engine_loader import load_engine
from millpond._pool import tracker, worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

    from millpond._engine import NewWorker
    from millpond._pool.fork_safety import ImportWitness
    from millpond._pool.preload import Preload
    from millpond._pool.worker_spec import WorkerSpec


def run_worker(
    new: NewWorker,
    spec: WorkerSpec | None,
    is_prepared: bool,
    mask: Iterable[int],
    flaw: ImportError | None = None,
) -> NoReturn:
    """Be the worker, in a process that has just been forked, to its end.

    Args:
        new: the engine's part.
        spec: how the worker sets itself up, or None if it is among what the zygote was passed.
        is_prepared: whether the program was imported before the fork.
        mask: the signals that are to be blocked; now SIGINT is one of them.
        flaw: why the worker cannot be set up.
    """
    code = 1
    try:
        worker.interrupts.install()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = worker.main(new, spec, is_prepared, flaw)
        if code == 0:
            load_engine().keep_holdings()
    except BaseException:
        tell_traceback()
    finally:
        os._exit(code)


class TemplateProcess:
    """What a spawned interpreter unpickles in the place of a process: it becomes a template."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def _bootstrap(self, parent_sentinel: int) -> NoReturn:
        # It is the memory with the pickles; the engine has a better one.
        os.close(parent_sentinel)
        be_template(*self._arguments)


def be_template(
    fds: tuple[int, int],
    owner_pid: int,
    inherited: tuple[dict[str, str], int | None],
    preparation: bytes,
    preload: Preload,
) -> NoReturn:
    """Be a template, in a new interpreter, and a worker in the processes that come from it.

    If the program's import fails, or leaves what must not be forked, this process ends before it is
    ready; its owner then starts one that imports less.

    Args:
        fds: numbers of the descriptors by which it and its owner know each other.
        owner_pid: the process that started it.
        inherited: environment and mask of file modes as they were when the pool was made.
        preparation: what the standard library tells a spawned process of its parent, pickled.
        preload: what to import before workers are forked.
    """
    socket, lifeline = fds
    witness: ImportWitness | None = None
    flaw = None
    try:
        _end_when_hung_up(lifeline)
        environment, umask = inherited
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        if umask is not None:
            os.umask(umask)
        if preload.names:
            from millpond._pool.fork_safety import ImportWitness

            witness = ImportWitness()
            if not _import_program(preparation, preload.has_main):
                _end_unused()
            flaw = preload.run()
            if not witness.is_safe():
                _end_unused()
            util._flush_std_streams()  # type: ignore[attr-defined]
        # SIGINT was blocked when this process was made.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ()) - {signal.SIGINT}
        tracker.give_up()
        new = load_engine().serve_template(socket, lifeline, owner_pid)
        if witness is not None:
            witness.set_generators()
        run_worker(new, None, preload.has_main, mask, flaw)
    except BaseException:
        tell_traceback()
    finally:
        os._exit(1)


def _end_unused() -> NoReturn:
    """End without a fork, and tidy up what the import made, as a process does at its end."""
    # What is printed of it is for the workers to print.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    atexit._run_exitfuncs()
    os._exit(0)


def _import_program(preparation: bytes, has_main: bool) -> bool:
    """Set the interpreter up like the owner's, and return whether that was possible.

    Args:
        preparation: what the standard library tells a spawned process of its parent, pickled.
        has_main: whether `__main__` is imported.
    """
    data = worker.preparation_of(preparation)
    # Loggers are set up in each worker.
    left_out = ("log_",) if has_main else ("log_", "init_main")
    try:
        worker.prepare({name: data[name] for name in data if not name.startswith(left_out)})
    except BaseException:
        # A worker that imports it will tell.
        return False
    return True


def _end_when_hung_up(lifeline: int) -> None:
    """Have the kernel kill this process when its owner is gone, which its import would not notice.

    Args:
        lifeline: a pipe that the owner holds open.
    """
    try:
        # The descriptor's flags are those of all processes that have it, so it is opened anew.
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # There is no procfs: this process looks when it has imported the program.
        return
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    watched = select.poll()
    watched.register(own, 0)
    if watched.poll(0):
        os._exit(0)


_F_SETSIG = 10
"""Of Linux: which signal tells of a descriptor's readiness; the module `fcntl` does not name it."""


def tell_traceback() -> None:
    """Print the exception that is being handled."""
    import traceback

    traceback.print_exc()
    sys.stderr.flush()
