"""Functions that are references share what their process has of them; nothing else does."""
# methods: fork spawn

import functools

from subject import context, show


def default(x, seen=[]):  # noqa: B006  it is what this is about
    seen.append(x)
    return list(seen)


def attribute(x):
    attribute.calls = getattr(attribute, "calls", 0) + 1
    return attribute.calls, x


@functools.lru_cache
def cached(x):
    return attribute(x)


def closure():
    calls = []

    def inner(x):
        calls.append(x)
        return len(calls)

    return inner


class Graph:
    """Its nodes know each other by identity."""

    def __init__(self):
        self.nodes = [[n] for n in range(3)]
        self.padding = ""

    def place(self, node):
        return [node is known for known in self.nodes].index(True)

    def is_me(self, other):
        return other is self

    @classmethod
    def make(cls, n):
        return cls.__name__, n

    @staticmethod
    def static(n):
        return n


class Loud:
    made = 0

    def __init__(self, x):
        type(self).made += 1
        self.made = self.made, x

    def __reduce__(self):
        return tuple, (self.made,)


def replace(_):
    globals()["work"] = later
    return "replaced"


def work(x):
    return "as it was", x


def later(x):
    return "what came into its place", x


def main():
    with context.Pool(1) as pool:
        for function in (default, attribute, cached):
            show(
                f"{function.__name__}, apply", lambda: [pool.apply(function, (i,)) for i in (1, 2)]
            )
            show(f"{function.__name__}, map", lambda: pool.map(function, [3, 4], chunksize=1))
        graph = Graph()
        show("identity, map", lambda: pool.map(graph.place, graph.nodes))
        show("identity, map one by one", lambda: pool.map(graph.place, graph.nodes, chunksize=1))
        show("identity, imap", lambda: list(pool.imap(graph.place, graph.nodes)))
        show("identity, apply", lambda: pool.apply(graph.is_me, (graph,)))
        show("identity, keyword", lambda: pool.apply(graph.is_me, kwds={"other": graph}))
        graph.padding = "x" * 3_000_000
        show("of a large one, map", lambda: pool.map(graph.place, graph.nodes, chunksize=1))
        show("of a large one, others", lambda: pool.map(graph.is_me, [1, [2], "3"], chunksize=1))
        show("class method", lambda: pool.map(Graph.make, [1, 2]))
        show("static method", lambda: pool.map(Graph.static, [1, 2]))
        show("class", lambda: pool.map(Loud, [1, 2], chunksize=1))
        bag = []
        show("method of a builtin", lambda: pool.map(bag.append, [1, 2], chunksize=1))
        text = ["a"]
        show("another", lambda: pool.map(text.count, ["a", "b"]))
        text.append("b")
        show("changed by the caller", lambda: pool.map(text.count, ["a", "b"]))
        show(
            "partial of a partial",
            lambda: pool.map(functools.partial(default, seen=bag), [5, 6], 1),
        )
        show("not touched here", lambda: (bag, graph.nodes))
        show("a name", lambda: pool.apply(work, (1,)))
        show("a task", lambda: pool.apply(replace, (1,)))
        show("the name again", lambda: pool.apply(work, (1,)))


if __name__ == "__main__":
    main()
