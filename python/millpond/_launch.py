"""Making a pool's zygote: by forking, or by starting an interpreter.

A forked zygote has the plan of its workers in memory; a new interpreter reads the plan's pickle
from a memfd.
"""

from __future__ import annotations

import multiprocessing.util
import os
import signal
from contextlib import contextmanager
from multiprocessing import context, resource_tracker, spawn
from multiprocessing.popen_spawn_posix import _DupFd
from multiprocessing.reduction import ForkingPickler

from millpond._bootstrap import load_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from millpond._engine import ZygoteFds
    from millpond._plan import Plan


# The stubs of the standard library do not know all of it.
util: Any = multiprocessing.util
current_tracker: Any = resource_tracker
check_not_importing_main: Any = vars(spawn)["_check_not_importing_main"]


def launcher(plan: Plan) -> Callable[[ZygoteFds], int]:
    """Return the function that makes a zygote for this plan and returns its pid."""
    if plan.method == "fork":
        return lambda fds: fork_zygote(plan, fds)
    return SpawnLauncher(plan)


def fork_zygote(plan: Plan, fds: ZygoteFds) -> int:
    """Fork a zygote from this process."""
    util._flush_std_streams()
    from millpond import _engine, _worker, _zygote

    with _without_interrupts():
        pid = os.fork()
        if pid == 0:
            _worker.interrupts.install()
    if pid:
        return pid
    try:
        _zygote.serve(_engine.Zygote(fds, plan.owner_pid), plan, None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block SIGINT, so that a Ctrl-C finds a new process with a handler in place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SpawnLauncher:
    """Starts an interpreter that becomes the zygote.

    The plan is pickled when the pool is made, like the arguments of a spawned process. So locks,
    queues and connections among the initializer's arguments may be passed: the descriptors that
    they need are kept for as long as the pool may need another zygote.
    """

    DupFd = _DupFd

    def __init__(self, plan: Plan) -> None:
        check_not_importing_main()
        self._preload = _modules_to_preload() if plan.method == "forkserver" else []
        self._fds: list[int] = []
        self._owner_pid = plan.owner_pid
        preparation = spawn.get_preparation_data(plan.owner_name)
        set_spawning_popen: Any = context.set_spawning_popen
        set_spawning_popen(self)
        try:
            self._plan = bytes(ForkingPickler.dumps(preparation)), bytes(ForkingPickler.dumps(plan))
        finally:
            set_spawning_popen(None)
        # The originals may be closed by the time another zygote is needed; these are not.
        self._kept = {fd: os.dup(fd) for fd in self._fds}

    def duplicate_for_child(self, fd: int) -> int:
        """Have the zygote inherit a descriptor; called while the plan is pickled."""
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Let go of the descriptors that were kept for another zygote."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    def __call__(self, fds: ZygoteFds) -> int:
        tracker: int = current_tracker.getfd()
        plan = os.memfd_create("millpond-plan")
        try:
            with open(plan, "wb", closefd=False) as file:
                for part in self._plan:
                    file.write(len(part).to_bytes(8, "little") + part)
            numbers = fds.numbers()
            arguments = (numbers, self._owner_pid, plan, tracker, self._kept, self._preload)
            code = f"{load_source()}from millpond._zygote import main\nmain{arguments!r}\n"
            executable = os.fsencode(spawn.get_executable())
            options = util._args_from_interpreter_flags()
            command = [executable, *options, "-c", code]
            inherited = [*numbers, plan, tracker, *self._kept.values()]
            with _without_interrupts():
                pid: int = util.spawnv_passfds(executable, command, inherited)
                return pid
        finally:
            os.close(plan)


def _modules_to_preload() -> list[str]:
    """Return what `set_forkserver_preload` named, without `__main__`: that may start threads."""
    from multiprocessing.forkserver import _forkserver

    return [name for name in vars(_forkserver)["_preload_modules"] if name != "__main__"]
