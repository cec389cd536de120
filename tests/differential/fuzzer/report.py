"""What a campaign has found, as text."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from importlib.metadata import version

from fuzzer.campaign import Findings
from fuzzer.compare import Difference
from fuzzer.expected import RULES

_WIDTH = 300
_BEFORE = 80


def summary(findings: Findings) -> str:
    """One line."""
    known = sum(findings.expected[rule.name] for rule in RULES if not rule.promise)
    return (
        f"{findings.kinds.total():,} programs, {findings.lines:,} lines compared, "
        f"{findings.expected.total() - known:,} differ as promised, "
        f"{known} by known faults, "
        f"{len(findings.unsteady)} programs are unsteady, "
        f"{findings.fault_count} have faults ({len(findings.faults)} kinds), "
        f"{findings.seconds:.0f} s"
    )


def text(findings: Findings, *, way: str, seed: int) -> str:
    """Return the whole report, in Markdown."""
    return "\n".join(_lines(findings, way, seed)) + "\n"


def _lines(findings: Findings, way: str, seed: int) -> Iterator[str]:
    today = datetime.date.today().isoformat()
    yield f"# Random programs, {today}"
    yield ""
    yield (
        f"CPython {platform.python_version()}, millpond {version('millpond')}, "
        f"way in: `{way}`, seeds from {seed}."
    )
    yield ""
    yield f"{summary(findings)}."
    yield ""
    yield "| kind of program | programs |"
    yield "|---|---|"
    for kind, count in findings.kinds.most_common():
        yield f"| {kind} | {count:,} |"
    yield ""
    yield f"{findings.hangs} programs hung under plain Python."
    yield ""
    yield "## Differences that are promised"
    yield ""
    yield "| rule | lines | COMPATIBILITY.md |"
    yield "|---|---|---|"
    for rule in RULES:
        if rule.promise:
            yield f"| {rule.name} | {findings.expected[rule.name] or 'unused'} | {rule.promise} |"
    yield ""
    known = [rule for rule in RULES if not rule.promise]
    if known:
        yield "## Known faults"
        yield ""
        yield "| rule | lines | |"
        yield "|---|---|---|"
        for rule in known:
            yield f"| {rule.name} | {findings.expected[rule.name] or 'unused'} | {rule.note} |"
        yield ""
    yield "## Faults"
    yield ""
    if not findings.faults:
        yield "None."
    for signature, found in sorted(findings.faults.items(), key=lambda item: -len(item[1])):
        yield f"### {signature[0]}: {signature[1]} → {signature[2]} ({len(found)} programs)"
        yield ""
        seeds = [str(verdict.program["seed"]) for verdict, _ in found]
        yield f"Seeds {', '.join(seeds[:12])}{' …' if len(seeds) > 12 else ''}."
        yield ""
        for verdict, fault in found[:2]:
            yield from _difference(fault)
            yield "```python"
            yield verdict.source.rstrip()
            yield "```"
            yield ""
    if findings.unsteady:
        yield "## Programs that plain Python does not do the same way twice"
        yield ""
        for verdict in findings.unsteady:
            yield f"Seed {verdict.program['seed']} ({verdict.program['kind']}):"
            yield ""
            for fault in verdict.faults[:1]:
                yield from _difference(fault)


def _difference(fault: Difference) -> Iterator[str]:
    """Show where two lines part."""
    pairs = enumerate(zip(fault.plain, fault.ours, strict=False))
    first = next((index for index, (one, two) in pairs if one != two), 0)
    start = max(0, first - _BEFORE)
    lead = "…" if start else ""
    yield "```text"
    yield f"{fault.label}"
    yield f"  plain    {lead}{fault.plain[start : start + _WIDTH]}"
    yield f"  millpond {lead}{fault.ours[start : start + _WIDTH]}"
    yield "```"
    yield ""
