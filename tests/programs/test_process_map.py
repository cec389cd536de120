"""`tqdm.contrib.concurrent.process_map`."""

from __future__ import annotations

from pathlib import Path

from both import SAY_WHOSE, need, run_both

need("tqdm")

PROGRAM = f"""\
from tqdm.contrib.concurrent import process_map

{SAY_WHOSE}

def square(x):
    return x * x

if __name__ == "__main__":
    say_whose()
    # Only the last state of the bar, without times.
    shape = "{{n_fmt}} of {{total_fmt}}"
    options = dict(max_workers=2, chunksize=5, bar_format=shape, mininterval=1e9)
    print(process_map(square, range(50), **options))
"""


def test_process_map(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "bar.py").write_text(PROGRAM)

    both = run_both(tmp_path, make, ["bar.py"])
    assert both.returncode == 0
    assert both.stdout == f"{[x * x for x in range(50)]}\n"
