"""What runs in a pool's zygote: a process with one thread that forks workers."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from millpond._engine import Zygote
    from millpond._plan import Plan


def serve(zygote: Zygote, plan: Plan | None, pickled: tuple[bytes, bytes] | None) -> NoReturn:
    """Fork workers as the pool asks for them; the engine ends the process when the pool is gone.

    Args:
        zygote: the engine's part.
        plan: how workers set themselves up, or None if each unpickles it by itself.
        pickled: the preparation data and the plan, pickled, in a new interpreter.
    """
    from millpond import _codec, _worker

    while True:
        number = zygote.next()
        try:
            pid = os.fork()
        except OSError as error:
            zygote.failed(error.errno or 0)
            continue
        if pid == 0:
            code = 1
            try:
                worker = zygote.become_worker(_codec.dumps_result, _codec.loads)
                code = _worker.main(worker, number, plan, pickled)
            except BaseException:
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        zygote.started(pid)


def main(
    fds: tuple[int, int, int],
    owner_pid: int,
    plan: int,
    tracker: int,
    kept: dict[int, int],
    preload: list[str],
) -> NoReturn:
    """Run the zygote in a new interpreter.

    Args:
        fds: numbers of the descriptors that the engine passed.
        owner_pid: the process that made the pool.
        plan: number of the descriptor with the pickled preparation data and plan.
        tracker: number of the descriptor of the owner's resource tracker.
        kept: descriptors that the plan refers to, by the numbers that it knows them by.
        preload: modules to import before workers are forked.
    """
    from multiprocessing import resource_tracker

    from millpond import _engine

    try:
        allow_interrupts()
        tracked = resource_tracker._resource_tracker
        tracked._fd = tracker  # type: ignore[attr-defined]
        with open(plan, "rb") as file:
            file.seek(0)
            preparation, pickled = (
                file.read(int.from_bytes(file.read(8), "little")) for _ in range(2)
            )
        engine_fds = _engine.ZygoteFds.inherited(*_place(fds, kept))
        _import_all(preload)
        serve(_engine.Zygote(engine_fds, owner_pid), None, (preparation, pickled))
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def allow_interrupts() -> None:
    """Unblock SIGINT, which was blocked when this process was made, with a handler in place."""
    from millpond._worker import interrupts

    interrupts.install()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _place(fds: tuple[int, int, int], kept: dict[int, int]) -> list[int]:
    """Give inherited descriptors the numbers that the plan knows them by.

    Returns the numbers of `fds`, which make way.
    """
    import fcntl

    above = max([*fds, *kept, *kept.values()]) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in (*fds, *kept.values())]
    for number, fd in zip(kept, moved[len(fds) :], strict=True):
        os.dup2(fd, number, inheritable=False)
        os.close(fd)
    return moved[: len(fds)]


def _import_all(names: list[str]) -> None:
    for name in names:
        try:
            __import__(name)
        except ImportError:
            # As in the standard library: whoever needs it will be told.
            pass
