"""Agreement on random tables, against the packages people would otherwise use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_convergence.metrics.agreement import (
    cohen_kappa,
    conger_kappa,
    fleiss_kappa,
    gwet_ac1,
    raw_agreement,
)
from pytest_convergence.metrics.capa import capa, capa_probabilistic, error_consistency
from pytest_convergence.metrics.krippendorff import Level, krippendorff_alpha

TIGHT = 1e-9

# The first example pays for the import of the reference package.
oracle = settings(deadline=None)


@st.composite
def tables(draw: st.DrawFn, *, missing: bool = False) -> NDArray[np.float64]:
    raters, items = draw(st.integers(2, 6)), draw(st.integers(2, 15))
    values: st.SearchStrategy[float] = st.integers(1, draw(st.integers(2, 5))).map(float)
    if missing:
        values = values | st.just(float("nan"))
    cells = draw(st.lists(values, min_size=raters * items, max_size=raters * items))
    return np.array(cells).reshape(raters, items)


def several(table: NDArray[np.float64]) -> bool:
    return len(np.unique(table[~np.isnan(table)])) > 1


@oracle
@given(tables(), st.sampled_from([None, "linear", "quadratic"]))
def test_cohen_equals_scikit_learn(table: NDArray[np.float64], weights: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    result = cohen_kappa(table[0], table[1], weights=weights)
    assume(result.corrected is not None)
    expected = metrics.cohen_kappa_score(table[0], table[1], weights=weights)
    assert result.corrected == pytest.approx(expected, abs=TIGHT)


@oracle
@given(tables())
def test_fleiss_equals_statsmodels(table: NDArray[np.float64]) -> None:
    raters = pytest.importorskip("statsmodels.stats.inter_rater")
    assume(several(table))
    counts, _ = raters.aggregate_raters(table.T)
    expected = raters.fleiss_kappa(counts)
    assert fleiss_kappa(table).corrected == pytest.approx(expected, abs=TIGHT)


@oracle
@given(tables(missing=True), st.sampled_from(["nominal", "ordinal", "interval", "ratio"]))
def test_alpha_equals_krippendorff_with_missing_labels(
    table: NDArray[np.float64], level: Level
) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    pairable = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    assume(several(pairable))
    expected = krippendorff.alpha(table, level_of_measurement=level)
    result = krippendorff_alpha(table, level=level)
    assert result.corrected == pytest.approx(expected, abs=TIGHT)


@oracle
@given(tables())
def test_conger_equals_the_pairs_of_scikit_learns_confusion_matrices(
    table: NDArray[np.float64],
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels = np.unique(table)
    assume(len(labels) > 1)
    observed, chance = [], []
    for a in range(len(table)):
        for b in range(a):
            joint = metrics.confusion_matrix(table[a], table[b], labels=labels) / table.shape[1]
            observed.append(np.trace(joint))
            chance.append(joint.sum(axis=0) @ joint.sum(axis=1))
    result = conger_kappa(table)
    assert result.observed == pytest.approx(np.mean(observed), abs=TIGHT)
    assert result.expected == pytest.approx(np.mean(chance), abs=TIGHT)


@st.composite
def quizzes(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    questions = draw(st.integers(2, 20))
    options = draw(st.lists(st.integers(2, 5), min_size=questions, max_size=questions))
    columns = [[draw(st.integers(0, k - 1)) for k in options] for _ in range(3)]
    return options, columns


@oracle
@given(quizzes())
def test_capa_and_error_consistency_equal_lm_sim(quiz: tuple[list[int], list[list[int]]]) -> None:
    lmsim = pytest.importorskip("lmsim.metrics")
    options, (first, second, truth) = quiz
    hot_first = [np.eye(k)[x] for k, x in zip(options, first, strict=True)]
    hot_second = [np.eye(k)[x] for k, x in zip(options, second, strict=True)]
    ours = capa(first, second, truth, options=options)
    if ours.corrected is not None:
        theirs = lmsim.CAPA(prob=False).compute_k(hot_first, hot_second, truth)
        assert ours.corrected == pytest.approx(theirs, abs=TIGHT)
    consistent = error_consistency(first, second, truth)
    if consistent.corrected is not None:
        theirs = lmsim.EC().compute_k(hot_first, hot_second, truth)
        assert consistent.corrected == pytest.approx(theirs, abs=TIGHT)


@oracle
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 20))
def test_probabilistic_capa_equals_lm_sim(seed: int, options: int, questions: int) -> None:
    lmsim = pytest.importorskip("lmsim.metrics")
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet(np.ones(options), size=(2, questions))
    truth = rng.integers(options, size=questions)
    theirs = lmsim.CAPA(prob=True).compute_k(list(first), list(second), truth.tolist())
    assert capa_probabilistic(first, second, truth).corrected == pytest.approx(theirs, abs=TIGHT)


@settings(max_examples=50)
@given(tables(missing=True), st.randoms(use_true_random=False))
def test_order_of_raters_and_items_changes_nothing(table: NDArray[np.float64], random: Any) -> None:
    assume(((~np.isnan(table)).sum(axis=0) >= 2).any())
    rows = random.sample(range(table.shape[0]), table.shape[0])
    columns = random.sample(range(table.shape[1]), table.shape[1])
    shuffled = table[rows][:, columns]
    assert raw_agreement(shuffled) == pytest.approx(raw_agreement(table))
    for coefficient in (conger_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        before, after = coefficient(table), coefficient(shuffled)
        assert before.expected == pytest.approx(after.expected)
        assert before.corrected == pytest.approx(after.corrected)


@given(tables(missing=True))
def test_agreement_is_bounded_and_defined_or_explained(table: NDArray[np.float64]) -> None:
    assume(((~np.isnan(table)).sum(axis=0) >= 2).any())
    for coefficient in (conger_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        result = coefficient(table)
        assert 0 <= result.observed <= 1
        assert (result.corrected is None) == (result.undefined is not None)
        assert result.corrected is None or result.corrected <= 1
        if result.corrected is not None and not np.isnan(table).any():
            # With gaps the margins rest on more items than the agreement, so there is no bound.
            assert result.corrected >= -1 - TIGHT
        assert not result.unanimous or result.corrected in (None, 1.0)
