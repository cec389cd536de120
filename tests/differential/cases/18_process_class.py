"""A pool's workers are processes of the class that its context names."""
# methods: fork spawn forkserver
# ways: import install

import concurrent.futures
import importlib
import multiprocessing
import os

from subject import context, mp, show

pools = importlib.import_module(mp.__name__ + ".pool")
Executor = getattr(mp, "ProcessPoolExecutor", concurrent.futures.ProcessPoolExecutor)
Base = context.Process


def context_of(kind):
    members = {"Process": kind}
    return type("OwnContext", (type(context),), members)()


class PlainProcess(Base):
    """The recipe for workers that may have children."""

    @property
    def daemon(self):
        return False

    @daemon.setter
    def daemon(self, value):
        pass


class OwnRun(Base):
    note = "the class's"

    def run(self):
        self.note = "run's"
        super().run()


class OwnBootstrap(Base):
    def _bootstrap(self, *args, **kwargs):
        self.note = "_bootstrap's"
        return super()._bootstrap(*args, **kwargs)


class Constructed(Base):
    """Its constructor runs in the program."""

    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        Constructed.made += 1
        self.note = f"constructed in {os.getpid()}"


class Started(Base):
    """So does what starts it."""

    started = 0

    def start(self):
        Started.started += 1
        self.note = "started"
        super().start()


class OuterPool(pools.Pool):
    """The recipe, newer."""

    def __init__(self, *args, **kwargs):
        kwargs["context"] = context_of(PlainProcess)
        super().__init__(*args, **kwargs)


class FactoryContext(type(context)):
    """Its `Process` is no class."""

    def Process(self, *args, **kwargs):
        return OwnRun(*args, **kwargs)


def tell(_=None):
    own = multiprocessing.current_process()
    note = getattr(own, "note", None)
    note = note and note.replace(str(multiprocessing.parent_process().pid), "the parent")
    return type(own).__qualname__, own.daemon, own.name.split("-")[0], note


def leaf(x):
    return x * x


def inner(n):
    with context.Pool(2) as pool:
        return multiprocessing.current_process().daemon, sum(pool.map(leaf, range(n)))


def starts_process(n):
    child = context.Process(target=leaf, args=(n,))
    child.start()
    child.join()
    return child.exitcode


def unflag(n):
    multiprocessing.current_process()._config["daemon"] = False
    return inner(n)


def main():
    for kind in (Base, PlainProcess, OwnRun, OwnBootstrap, Constructed, Started):
        with pools.Pool(2, context=context_of(kind)) as pool:
            show(kind.__name__, lambda: set(pool.map(tell, range(4))))
            print([type(worker).__name__ for worker in pool._pool])
            print([isinstance(worker, kind) for worker in pool._pool])
            print([worker.daemon for worker in pool._pool])
            print(sorted(process.name for process in mp.active_children()))
        with Executor(1, mp_context=context_of(kind)) as executor:
            show("executor", lambda: executor.submit(tell).result())
    print("made in the program:", Constructed.made, Started.started)
    with pools.Pool(1, context=FactoryContext()) as pool:
        show("factory", lambda: pool.apply(tell))
    with OuterPool(2) as pool:
        show("nested", lambda: pool.map(inner, [3, 4, 5]))
        show("a child", lambda: pool.map(starts_process, [1, 2]))
        print(type(pool).__name__)
    with context.Pool(2) as pool:
        show("unflagged", lambda: pool.map(unflag, [3, 4]))

    class Local(Base):
        def run(self):
            self.note = "local"
            super().run()

    if context.get_start_method() == "fork":
        with pools.Pool(1, context=context_of(Local)) as pool:
            show("local", lambda: pool.apply(tell))


if __name__ == "__main__":
    main()
