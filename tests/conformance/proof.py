"""Whether a suite ran on what it was to run on: the swap is proven, not assumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.suite import Origins, Suite

IN_CLASS = ("the class's process", "a child")
ISOLATED = ("python -I", "python -E", "python -S")


def doubts(suite: Suite, classes: Iterable[str], *, ours: bool) -> Iterator[str]:
    """Yield what is wrong with the run of some classes.

    Args:
        suite: what was run.
        classes: the classes of it.
        ours: whether it was to run on millpond; else on the standard library alone.
    """
    if ours:
        for doubt in _doubts(suite.isolated(), ISOLATED, ours):
            yield f"**not proven**: {doubt}"
    for name in classes:
        for doubt in _doubts(suite.proofs.get(name, {}), IN_CLASS, ours):
            yield f"`{name.rpartition('.')[2]}` **not proven**: {doubt}"


def _doubts(answers: dict[str, Origins], places: Iterable[str], ours: bool) -> Iterator[str]:
    for place in places:
        names = answers.get(place)
        if not names:
            yield f"{place} did not say what it has"
        elif wrong := [name for name, is_ours in names.items() if is_ours != ours]:
            whose = "the standard library's" if ours else "millpond's"
            yield f"in {place}, {', '.join(wrong)} are {whose}"
