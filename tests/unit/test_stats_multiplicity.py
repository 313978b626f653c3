from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from pytest_convergence.stats.multiplicity import benjamini_hochberg, holm, max_t


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjusted_p_values_equal_statsmodels(ours: object, theirs: str) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 40):
        p = rng.random(count) ** 3
        assert callable(ours)
        np.testing.assert_allclose(ours(p), multipletests(p, method=theirs)[1], atol=1e-12)


def test_a_test_that_was_not_made_counts_neither_as_a_test_nor_as_a_rejection() -> None:
    found = holm([0.01, np.nan, 0.04])
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])


def test_max_t_keeps_the_family_wise_level_and_beats_holm_on_correlated_tests() -> None:
    rng = np.random.default_rng(1)
    rejected, count = 0, 400
    for _ in range(count):
        common = rng.normal(size=(200, 1))
        draws = 0.9 * common + 0.44 * rng.normal(size=(200, 10))
        rejected += bool(max_t(draws[0], draws[1:]).min() <= 0.05)
    assert 0.05 - 3 * 0.011 <= rejected / count <= 0.05 + 3 * 0.011
    observed = np.r_[3.0, draws[1, 1:]]
    single = (1 + (draws[1:] >= observed).sum(axis=0)) / 200
    assert max_t(observed, draws[1:])[0] < holm(single)[0]


def test_max_t_of_one_test_is_its_own_p_value() -> None:
    null = np.arange(99.0)[:, None]
    assert max_t([90.0], null)[0] == pytest.approx(10 / 100)
