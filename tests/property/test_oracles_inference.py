"""Paired tests and intervals on random data, against statsmodels and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_convergence.stats.equivalence import mcnemar, paired_tost
from pytest_convergence.stats.rates import pass_rate, wilson_interval

TIGHT = 1e-9

# The first example pays for the import of the reference package.
oracle = settings(deadline=None)
values = st.lists(st.floats(0, 1, width=16), min_size=3, max_size=20)


@oracle
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_equals_statsmodels(answers: list[tuple[bool, bool]]) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    first, second = np.array(answers, dtype=float).T
    counts = [[((first == a) & (second == b)).sum() for b in (1, 0)] for a in (1, 0)]
    theirs = tables.mcnemar(counts, exact=True).pvalue
    assert mcnemar(first, second).pvalue == pytest.approx(theirs, abs=TIGHT)


@oracle
@given(values, st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
def test_tost_equals_statsmodels(first: list[float], seed: int, margin: float) -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    second = np.random.default_rng(seed).random(len(first))
    theirs, _, _ = weightstats.ttost_paired(np.array(first), second, -margin, margin)
    ours = paired_tost(first, second, margin=margin)
    assert ours.pvalue == pytest.approx(theirs, abs=TIGHT)


@oracle
@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(trials: int, data: st.DataObject, level: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    successes = data.draw(st.integers(0, trials))
    theirs = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    ours = wilson_interval(successes, trials, level=level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=TIGHT)


@oracle
@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_one_answer_a_prompt_never_counts_for_more_than_the_prompts(passes: list[bool]) -> None:
    stats = pytest.importorskip("scipy.stats")
    result = pass_rate(np.array(passes), np.ones(len(passes)))
    assert result.effective == pytest.approx(len(passes))
    exact = stats.binomtest(sum(passes), len(passes)).proportion_ci(0.95, method="exact")
    interval = result.interval
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=TIGHT)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_a_rate_lies_in_its_interval_and_mirrors_that_of_failures(
    counts: list[tuple[int, int]],
) -> None:
    total = np.array([n for _, n in counts])
    passed = np.minimum([k for k, _ in counts], total)
    rate, mirrored = pass_rate(passed, total), pass_rate(total - passed, total)
    assert 0 <= rate.interval.low <= rate.rate <= rate.interval.high <= 1
    assert rate.interval.low < rate.interval.high
    assert mirrored.interval.low == pytest.approx(1 - rate.interval.high)
    assert mirrored.interval.high == pytest.approx(1 - rate.interval.low)
