"""Keeping a run in runs/: raw values, report and chart."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

RUNS = Path(__file__).resolve().parent.parent / "runs"


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def keep(benchmark: str, date: str, raw: dict[str, Any], text: str, picture: str) -> None:
    """Writes the three files of a run; the chart takes the place of the one before."""
    RUNS.mkdir(exist_ok=True)
    files = {
        f"{date}-{benchmark}.json": json.dumps(raw, indent=1, ensure_ascii=False) + "\n",
        f"{date}-{benchmark}.md": f"# Benchmark `{benchmark}`, {date}\n\n{text}",
        f"{benchmark}.svg": picture,
    }
    for name, content in files.items():
        (RUNS / name).write_text(content, encoding="utf-8")
        print(f"wrote benchsuite/runs/{name}", file=sys.stderr, flush=True)
