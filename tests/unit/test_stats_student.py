"""Student's t without scipy is scipy's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from pytest_convergence.stats.student import student_quantile


@given(
    level=st.floats(0.001, 0.99),
    freedom=st.lists(st.floats(1.0, 1e9), min_size=1, max_size=20),
)
def test_quantiles_are_scipy_s(level: float, freedom: list[float]) -> None:
    given_freedom = np.array(freedom)
    np.testing.assert_allclose(
        student_quantile(level, given_freedom),
        stdtrit(given_freedom, 0.5 + level / 2),
        rtol=1e-9,
    )


@pytest.mark.parametrize(("level", "freedom"), [(0.999, 1.03), (0.9999, 3.0), (0.95, 0.5)])
def test_beyond_the_series_the_quantile_is_scipy_s_own(level: float, freedom: float) -> None:
    assert float(student_quantile(level, freedom)) == float(stdtrit(freedom, 0.5 + level / 2))


def test_infinite_freedom_is_the_normal_distribution() -> None:
    assert float(student_quantile(0.95, float("inf"))) == pytest.approx(1.959963984540054)


def test_a_table_of_any_shape_keeps_it() -> None:
    assert student_quantile(0.9, np.full((3, 4), 7.0)).shape == (3, 4)


def test_scipy_is_not_loaded_for_an_interval() -> None:
    code = (
        "import sys\n"
        "from pytest_convergence.metrics.convergence import estimate_group\n"
        "from pytest_convergence.metrics.summaries import Summaries\n"
        "import numpy as np\n"
        "random = np.random.default_rng(1)\n"
        "draws = random.normal(size=(30, 1, 4)) + random.normal(size=(3, 30, 2, 4))\n"
        "panel = Summaries.from_features(draws, models='abc', prompts=list(map(str, range(30))))\n"
        "assert estimate_group(panel, seed=1).interval is not None\n"
        "print([name for name in sys.modules if name.startswith('scipy')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
