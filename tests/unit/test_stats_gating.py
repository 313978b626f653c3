"""The gate's statistics: gradients, levels in simulation, exactness, and power to see one model."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.summaries import Summaries
from pytest_convergence.stats.change import (
    Change,
    change_by_families,
    change_by_samples,
    distribution_shift,
)
from pytest_convergence.stats.gating import Recording, look, measure, movement, pair_weights
from pytest_convergence.stats.noise import Slopes, Spread

Floats = NDArray[np.float64]
NAMES = ("a", "b", "c", "d", "e")


def recorded(
    features: Floats, *, families: tuple[str, ...] | None = None, copies: bool = False
) -> Recording:
    """From features of shape (M, P, n, d)."""
    models, prompts, samples, _ = features.shape
    summaries = Summaries.from_features(
        [list(row) for row in features],
        models=NAMES[:models],
        prompts=[f"p{index:02}" for index in range(prompts)],
        families=families,
    )
    return Recording.of(summaries, features, samples=samples, copies=copies)


def labels(probabilities: Floats, samples: int, rng: np.random.Generator) -> Floats:
    """One-hot answers, shape (M, P, n, K), from probabilities (M, P, K)."""
    edges = probabilities.cumsum(axis=2)[:, :, None, :]
    drawn = (rng.random((*probabilities.shape[:2], samples, 1)) > edges).sum(axis=3)
    kinds = probabilities.shape[2]
    return np.asarray(np.eye(kinds)[drawn.clip(0, kinds - 1)])


def panel(models: int, prompts: int, rng: np.random.Generator, low: float, high: float) -> Floats:
    """Models that share favourites among four answers, with steadiness from low to high."""
    favourites = np.eye(4)[rng.integers(4, size=prompts)]
    steadiness = rng.uniform(low, high, size=(models, prompts, 1))
    rest = rng.dirichlet(np.full(4, 0.5), size=(models, prompts))
    return np.asarray(steadiness * favourites[None] + (1 - steadiness) * rest)


def test_score_gradient_is_the_derivative_by_a_cells_mean_families_included() -> None:
    rng = np.random.default_rng(1)
    # Positive within of every model, so that the ceiling is away from its clip at zero.
    features = rng.normal(size=(4, 6, 3, 5)) + 2 * rng.normal(size=(1, 6, 1, 5))
    side = recorded(features, families=("x", "x", "y", "z", "v", "w"))
    for member in (None, 1):
        weights = pair_weights(side, side, member)
        means = side.means(weights)
        slopes = side.slopes
        parts = {
            "similarity": slopes.similarity(weights),
            "floor": slopes.floor(weights),
        }
        for m, p, k in [(0, 0, 0), (1, 1, 2), (3, 4, 4)]:
            sums = side.summaries.sums.copy()
            sums[m, p, k] += 3e-6
            moved = Recording.of(replace(side.summaries, sums=sums), features, samples=3).means(
                weights
            )
            for name, gradient in parts.items():
                slope = float(getattr(moved, name) - getattr(means, name)) / 1e-6
                assert slope == pytest.approx(gradient[m, p, k], abs=1e-6)


def test_ceiling_gradient_counts_each_response_once() -> None:
    # Moving one response moves the ceiling by its gradient over n, but for the response's own
    # pair with itself, which a within leaves out: compared where responses are many.
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3, 5, 400, 4)) + 2 * rng.normal(size=(1, 5, 1, 4))
    side = recorded(features)
    weights = pair_weights(side, side)
    gradient = side.slopes.ceiling(weights)
    other = features.copy()
    other[1, 2, 7, 3] += 0.01
    slope = float(recorded(other).means(weights).ceiling - side.means(weights).ceiling) / 0.01
    assert 400 * slope == pytest.approx(gradient[1, 2, 3], rel=0.03)


@pytest.mark.parametrize(
    ("models", "prompts", "samples", "low", "high"),
    [
        (5, 30, 5, 0.3, 0.9),
        (5, 30, 5, 0.8, 1.0),
        (2, 8, 5, 0.5, 0.95),
        (3, 12, 2, 0.5, 1.0),
    ],
)
def test_an_unchanged_panel_is_called_changed_no_more_often_than_stated(
    models: int, prompts: int, samples: int, low: float, high: float
) -> None:
    rng = np.random.default_rng(models * prompts)
    falling, rising = [], []
    for trial in range(200):
        if trial % 20 == 0:
            truth = panel(models, prompts, rng, low, high)
        before, after = (recorded(labels(truth, samples, rng)) for _ in range(2))
        change = measure(
            before,
            after,
            weights=pair_weights(before, after),
            redrawn=[True] * models,
            quantity="score",
            seed=1,
        )
        falling.append(change.falling)
        rising.append(change.rising)
    for pvalues in (falling, rising):
        assert np.mean(np.array(pvalues) <= 0.05) <= 0.06 + 2 * np.sqrt(0.05 * 0.95 / 200)
        assert np.mean(np.array(pvalues) <= 0.005) <= 0.02


def test_with_one_sample_a_prompt_the_level_holds_by_families() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(300):
        if trial % 20 == 0:
            truth = panel(4, 15, rng, 0.4, 0.9)
        before, after = (recorded(labels(truth, 1, rng)) for _ in range(2))
        change = measure(
            before,
            after,
            weights=pair_weights(before, after),
            redrawn=[True] * 4,
            quantity="score",
            seed=trial,
        )
        hits += change.falling <= 0.05
    assert hits / 300 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_copies_are_not_taken_for_samples() -> None:
    # Each prompt's answer is drawn once and copied: within prompts there is no spread at all, and
    # a gate that believed it would call every re-recording a change.
    rng = np.random.default_rng(3)
    truth = panel(3, 14, rng, 0.3, 0.7)
    alarms = {False: 0, True: 0}
    for trial in range(100):
        drawn = [np.repeat(labels(truth, 1, rng), 5, axis=2) for _ in range(2)]
        for copies in alarms:
            before, after = (recorded(features, copies=copies) for features in drawn)
            change = measure(
                before,
                after,
                weights=pair_weights(before, after),
                redrawn=[True] * 3,
                quantity="score",
                seed=trial,
            )
            alarms[copies] += change.falling <= 0.05
    assert alarms[True] <= 12
    assert alarms[False] >= 30


def test_models_that_were_not_recorded_anew_lend_no_noise() -> None:
    rng = np.random.default_rng(4)
    truth = panel(3, 12, rng, 0.4, 0.9)
    old = labels(truth, 5, rng)
    new = old.copy()
    new[1] = labels(truth, 5, rng)[1]
    before, after = recorded(old), recorded(new)
    widths = []
    for redrawn in ([False, True, False], [True, True, True]):
        change = measure(
            before,
            after,
            weights=pair_weights(before, after),
            redrawn=redrawn,
            quantity="score",
            seed=1,
        )
        widths.append(change.interval.high - change.interval.low)
    assert widths[0] < 0.8 * widths[1]


def test_one_models_change_is_seen_in_its_own_pairs_where_the_panels_mean_hides_it() -> None:
    rng = np.random.default_rng(5)
    seen, panel_alone = 0, 0
    for _ in range(40):
        truth = panel(5, 30, rng, 0.4, 0.8)
        changed = truth.copy()
        changed[2, :12] = np.roll(changed[2, :12], 1, axis=1)
        before, after = recorded(labels(truth, 5, rng)), recorded(labels(changed, 5, rng))
        found = look(
            before,
            after,
            redrawn=[True] * 5,
            quantity="score",
            direction="converges",
            smallest_effect=0.05,
            groups=10,
            alpha=0.05,
            seed=1,
        )
        seen += found.movement == "regressed"
        panel_alone += (
            movement(
                found.change,
                direction="converges",
                smallest_effect=0.05,
                groups=10,
                alpha=0.05,
            )
            == "regressed"
        )
    assert seen >= 34
    assert seen > panel_alone + 5


def test_score_of_a_recording_is_the_estimands() -> None:
    rng = np.random.default_rng(6)
    side = recorded(labels(panel(4, 10, rng, 0.5, 0.9), 4, rng))
    estimate = estimate_group(side.summaries, permutations=0, seed=1)
    assert side.value(pair_weights(side, side), "score") == pytest.approx(estimate.score)
    assert side.value(pair_weights(side, side), "similarity") == pytest.approx(estimate.similarity)


@pytest.mark.parametrize(
    ("difference", "direction", "expected"),
    [
        (-0.2, "converges", "regressed"),
        (-0.2, "diverges", "improved"),
        (0.2, "diverges", "regressed"),
        (0.2, "converges", "improved"),
        (-0.04, "converges", "unchanged"),
    ],
)
def test_direction_and_smallest_effect_decide_what_a_change_is(
    difference: float, direction: str, expected: str
) -> None:
    noise, freedom = np.full(50, 0.0001 / 50), np.full(50, 4.0)
    change = change_by_samples(0.7, 0.7 + difference, noise, freedom)
    found = movement(
        change,
        direction=direction,  # type: ignore[arg-type]
        smallest_effect=0.05,
        groups=10,
        alpha=0.05,
    )
    assert found == expected


def test_more_groups_ask_for_more_significance() -> None:
    noise, freedom = np.full(50, 0.0016 / 50), np.full(50, 4.0)
    change = change_by_samples(0.7, 0.6, noise, freedom)  # p = .006
    asked = [
        movement(change, direction="converges", smallest_effect=0.05, groups=groups, alpha=0.05)
        for groups in (1, 5, 20)
    ]
    assert asked == ["regressed", "regressed", "unchanged"]


def test_without_spread_any_difference_is_certain_and_none_is_none() -> None:
    nothing = np.zeros(4), np.full(4, 4.0)
    certain = change_by_samples(0.9, 0.7, *nothing)
    assert (certain.falling, certain.rising) == (0.0, 1.0)
    same = change_by_samples(0.9, 0.9, *nothing)
    assert (same.falling, same.rising) == (1.0, 1.0)


def test_sign_flips_are_exact_where_few_and_never_zero_where_many() -> None:
    few = change_by_families(0.8, 0.6, np.full(5, 0.8), np.full(5, 0.6), seed=1)
    assert few.falling == pytest.approx(1 / 2**5)
    many = change_by_families(0.8, 0.6, np.full(40, 0.8), np.full(40, 0.6), seed=1)
    assert many.falling == pytest.approx(1 / 20_000)
    again = change_by_families(0.8, 0.6, np.full(40, 0.8), np.full(40, 0.6), seed=1)
    assert isinstance(many, Change)
    assert many == again


def test_a_shift_of_distribution_is_seen_at_the_same_score_and_seldom_where_there_is_none() -> None:
    rng = np.random.default_rng(8)
    truth = panel(2, 20, rng, 0.5, 0.8)
    flat = truth.copy()
    flat[0] = 0.25
    found = distribution_shift(
        recorded(labels(truth, 5, rng)).summaries, recorded(labels(flat, 5, rng)).summaries, 0
    )
    assert found is not None
    assert found.mmd2 > 0.1
    assert found.pvalue < 0.001
    alarms = 0
    for _ in range(200):
        sides = [recorded(labels(truth, 5, rng)).summaries for _ in range(2)]
        shift = distribution_shift(sides[0], sides[1], 1)
        alarms += shift is not None and shift.pvalue <= 0.05
    assert alarms / 200 <= 0.09


def test_one_sample_or_few_families_tell_nothing_of_a_distribution() -> None:
    rng = np.random.default_rng(9)
    single = recorded(labels(panel(2, 8, rng, 0.5, 0.8), 1, rng)).summaries
    assert distribution_shift(single, single, 0) is None
    few = recorded(labels(panel(2, 3, rng, 0.5, 0.8), 5, rng)).summaries
    assert distribution_shift(few, few, 0) is None


def test_a_cell_with_one_response_gets_its_models_usual_spread() -> None:
    rng = np.random.default_rng(10)
    blocks = [[rng.normal(size=(5, 3)) for _ in range(4)] for _ in range(2)]
    blocks[0][1], blocks[1][2] = blocks[0][1][:1], np.zeros((0, 3))
    variance, freedom = Spread.of(blocks).variance(np.ones((2, 4, 3)))
    others = [variance[0, p] * 5 for p in (0, 2, 3)]
    assert variance[0, 1] == pytest.approx(np.mean(others))
    assert variance[1, 2] == 0
    assert freedom[0, 1] == 1
    assert Slopes.of(recorded(rng.normal(size=(2, 4, 1, 3))).summaries).roots is None
