"""scikit-learn's `GridSearchCV(n_jobs=2)` with joblib's `multiprocessing` backend and its default.

That is loky, which rebuilds what is inside of `multiprocessing`'s queues.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from both import SAY_WHOSE, need, run_both

need("sklearn")

PROGRAM = f"""\
import sys
import joblib
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

{SAY_WHOSE}

if __name__ == "__main__":
    say_whose()
    data, target = make_classification(n_samples=200, random_state=1)
    grid = {{"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5]}}
    search = GridSearchCV(DecisionTreeClassifier(random_state=1), grid, cv=3, n_jobs=2)
    with joblib.parallel_backend(sys.argv[1]):
        search.fit(data, target)
    print(search.best_params_, search.best_score_)
    print(search.cv_results_["mean_test_score"].tolist())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["multiprocessing", "loky"])
def test_grid_search(backend: str, tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "search.py").write_text(PROGRAM)

    both = run_both(tmp_path, make, ["search.py", backend])
    assert (both.returncode, both.stderr) == (0, "")
    assert "max_depth" in both.stdout
