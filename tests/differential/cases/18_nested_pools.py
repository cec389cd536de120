"""A task may have a pool of its own, where the worker is no daemon."""
# methods: fork spawn
# ways: import install

from subject import context, mp, show


class PlainProcess(context.Process):
    @property
    def daemon(self):
        return False

    @daemon.setter
    def daemon(self, value):
        pass


class PlainContext(type(context)):
    Process = PlainProcess


def leaf(x):
    return x * x


def nested(n):
    with mp.get_context("fork").Pool(2) as pool:
        return pool.map(leaf, range(n))


def unflagged(n):
    mp.current_process()._config["daemon"] = False
    return nested(n)


def main():
    plain = PlainContext()
    with plain.Pool(2) as pool:
        show("nested", lambda: pool.map(nested, [3, 4]))
        show("twice", lambda: pool.map(nested, [3, 4]))
    with context.Pool(2) as pool:
        show("unflagged", lambda: pool.map(unflagged, [3, 4]))


if __name__ == "__main__":
    main()
