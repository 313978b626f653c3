from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from pytest_convergence.metrics.groups import why_undefined
from pytest_convergence.metrics.jackknife import jackknife_panel
from pytest_convergence.metrics.summaries import Summaries
from pytest_convergence.metrics.terms import family_starts, terms_from_summaries
from pytest_convergence.stats.intervals import (
    Contributions,
    deviations,
    ratio_bounds,
    standard_error,
    unseen_share,
)
from pytest_convergence.stats.nested import nested_interval

Floats = NDArray[np.float64]


def mean_parts(draws: Floats) -> Contributions:
    """A plain mean over the last axis as contributions."""
    count = draws.shape[-1]
    value = draws.mean(axis=-1)
    without = (value[..., None] * count - draws) / (count - 1)
    counted = np.ones(draws.shape, dtype=bool)
    moves = deviations(value, without, counted)
    return Contributions(value, np.ones_like(value), moves, np.zeros_like(moves), counted)


def test_the_jackknife_error_of_a_mean_is_the_usual_one() -> None:
    draws = np.random.default_rng(0).normal(size=(3, 12))
    parts = mean_parts(draws)
    np.testing.assert_allclose(
        standard_error(parts.over, parts.units), draws.std(axis=1, ddof=1) / np.sqrt(12)
    )


def test_bounds_of_many_normal_values_are_student_s() -> None:
    draws = np.random.default_rng(1).normal(size=(1, 4000))
    low, high = ratio_bounds(
        mean_parts(draws), level=0.95, lowest=np.array([-9.0]), highest=np.array([9.0])
    )
    reach = student.ppf(0.975, 3999) * draws.std(ddof=1) / np.sqrt(4000)
    assert low[0] == pytest.approx(draws.mean() - reach, abs=2e-3 * reach + 1e-3)
    assert high[0] == pytest.approx(draws.mean() + reach, abs=2e-3 * reach + 1e-3)


@pytest.mark.parametrize(("count", "least"), [(5, 0.90), (20, 0.92), (100, 0.93)])
def test_means_of_skewed_values_are_covered(count: int, least: float) -> None:
    draws = np.random.default_rng(2).exponential(size=(3000, count))
    low, high = ratio_bounds(
        mean_parts(draws), level=0.95, lowest=np.zeros(3000), highest=np.full(3000, 50.0)
    )
    assert ((low <= 1.0) & (high >= 1.0)).mean() >= least
    plain = student.ppf(0.975, count - 1) * draws.std(axis=1, ddof=1) / np.sqrt(count)
    covered = np.abs(draws.mean(axis=1) - 1.0) <= plain
    assert ((low <= 1.0) & (high >= 1.0)).mean() > covered.mean()


def test_units_that_do_not_count_change_nothing() -> None:
    draws = np.random.default_rng(3).normal(size=(1, 10))
    parts = mean_parts(draws)
    padded = Contributions(
        parts.numerator,
        parts.denominator,
        np.pad(parts.over, ((0, 0), (0, 4))),
        np.pad(parts.under, ((0, 0), (0, 4))),
        np.pad(parts.counted, ((0, 0), (0, 4))),
    )
    lowest, highest = np.array([-5.0]), np.array([5.0])
    for one, other in zip(
        ratio_bounds(parts, level=0.9, lowest=lowest, highest=highest),
        ratio_bounds(padded, level=0.9, lowest=lowest, highest=highest),
        strict=True,
    ):
        np.testing.assert_allclose(one, other)


def test_the_share_that_might_be_unseen_is_clopper_pearson_s() -> None:
    share = float(unseen_share(np.int64(0), np.int64(20), 0.95))
    assert share == pytest.approx(1 - 0.025 ** (1 / 20))


def draws_of(
    rng: np.random.Generator, *, labels: bool, families: int, samples: int, easy: float
) -> Floats:
    """Features (3, P, n, 4) around topics of their own; on easy prompts all say the same."""
    topics = 2.0 * rng.normal(size=(1, families, 1, 4))
    own = 0.8 * rng.normal(size=(3, families, 1, 4))
    draws = topics + own + 0.8 * rng.normal(size=(3, families, samples, 4))
    draws = np.where(rng.random((1, families, 1, 1)) < easy, topics, draws)
    if labels:
        return np.asarray(np.eye(4)[draws.argmax(axis=-1)])
    return np.asarray(draws / np.linalg.norm(draws, axis=-1, keepdims=True))


def jackknifed(features: Floats) -> tuple[float, float, bool]:
    names = [f"p{p:03}" for p in range(features.shape[1])]
    whole = Summaries.from_features([list(row) for row in features], models="abc", prompts=names)
    starts = family_starts(whole.families)
    panel = jackknife_panel(terms_from_summaries(whole), starts, replicated=True).panel
    low, high = panel.score_bounds(0.95)
    return float(low), float(high), why_undefined(panel) is None


@pytest.mark.parametrize(
    ("labels", "families", "easy", "most"),
    [
        (False, 20, 0.0, 0.97),
        (True, 20, 0.0, 0.97),
        (False, 5, 0.0, 1.0),
        (True, 20, 0.93, 1.0),
    ],
)
def test_scores_are_covered(labels: bool, families: int, easy: float, most: float) -> None:
    rng, count = np.random.default_rng(4), 150
    big = draws_of(rng, labels=labels, families=60_000, samples=2, easy=easy)
    means = big.mean(axis=2)
    within = (big[:, :, 0] * big[:, :, 1]).sum(axis=-1).mean()
    similarity = np.mean(
        [(means[a] * means[b]).sum(axis=-1).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    )
    centre = means.mean(axis=1)
    floor = np.mean([centre[a] @ centre[b] for a, b in ((0, 1), (0, 2), (1, 2))])
    truth = (similarity - floor) / (within - floor)
    found = [
        jackknifed(draws_of(rng, labels=labels, families=families, samples=3, easy=easy))
        for _ in range(count)
    ]
    held = [low <= truth <= high for low, high, defined in found if defined]
    assert all(high > low for low, high, defined in found if defined)
    error = np.sqrt(0.05 * 0.95 / count)
    assert 0.93 - 3 * error <= np.mean(held) <= most + 3 * error


def test_nested_resampling_is_about_as_wide_as_the_jackknife_and_a_little_wider() -> None:
    rng = np.random.default_rng(5)
    features = draws_of(rng, labels=False, families=30, samples=4, easy=0.0)
    low, high, _ = jackknifed(features)
    nested = nested_interval(
        [list(row) for row in features],
        families=[f"p{p:03}" for p in range(30)],
        resamples=200,
        seed=0,
    )
    assert nested.low < nested.high
    assert 0.7 * (high - low) < nested.high - nested.low < 1.8 * (high - low)
