"""A subclass of `Pool` that overrides what the standard library's pool is built of gets that."""
# methods: fork spawn
# ways: import install

import abc
import importlib
import multiprocessing.pool

from subject import context, mp, show

pools = importlib.import_module(mp.__name__ + ".pool")
original = multiprocessing.pool.ThreadPool.__base__
PARTS = [
    name
    for name in vars(original)
    if name == "Process" or (name.startswith("_") and not name.endswith("__"))
]


def overriding(name, called):
    """A subclass with an override of one part that notes its calls and goes on as before."""
    part = vars(original)[name]
    if not hasattr(part, "__get__"):
        return type("Overriding", (pools.Pool,), {name: part})

    def method(self, *args, **kwargs):
        called.add(name)
        return getattr(super(cls, self), name)(*args, **kwargs)

    def static(*args, **kwargs):
        called.add(name)
        return getattr(super(cls, cls), name)(*args, **kwargs)

    if isinstance(part, staticmethod):
        override = staticmethod(static)
    elif isinstance(part, classmethod):
        override = classmethod(method)
    else:
        override = method
    cls = type("Overriding", (pools.Pool,), {name: override})
    return cls


def use(kind):
    with kind(2, maxtasksperchild=2, context=context) as pool:
        results = pool.map(abs, [-1, 2, -3], 1), list(pool.imap(abs, [-1])), pool.apply(abs, [-1])
        pool.close()
        pool.join()
    return results, isinstance(pool, pools.Pool), issubclass(kind, pools.Pool), type(pool) is kind


class Queues:
    def _setup_queues(self):
        super()._setup_queues()
        self.brought = True


class ByMixin(Queues, pools.Pool):
    """The part comes from a class that is no pool."""


class Between(pools.Pool):
    def apply(self, *args):
        return "own", super().apply(*args)


class Below(Between):
    """Only the subclass of a subclass has it."""

    def _setup_queues(self):
        super()._setup_queues()
        self.brought = True


class Abstract(pools.Pool, abc.ABC):
    """With another metaclass."""

    def _setup_queues(self):
        super()._setup_queues()
        self.brought = True


class ByName(pools.Pool):
    """The base class is named."""

    def __init__(self, *args, **kwargs):
        pools.Pool.__init__(self, *args, **kwargs)

    def _setup_queues(self):
        pools.Pool._setup_queues(self)
        self.brought = True


class Under(ByName):
    def __repr__(self):
        return "Under"


def main():
    # A spawned worker takes long to start, and learns nothing of the pool's class.
    for name in PARTS if context.get_start_method() == "fork" else PARTS[:2]:
        called = set()
        show(name, lambda: use(overriding(name, called)))
        print(called)
    for kind in (ByMixin, Below, Abstract, ByName, Under):
        show(kind.__name__, lambda: use(kind))
        with kind(1, context=context) as pool:
            print(pool.brought, pool.apply(abs, (-1,)), len(pool._pool))
            print(type(pool._inqueue).__base__ is object)
        pool.join()
    show("Between", lambda: use(Between)[0])


if __name__ == "__main__":
    main()
