"""The helper's assertions show both sides, too."""

import pytest

pytest.register_assert_rewrite("both")
