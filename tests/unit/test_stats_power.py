from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.estimates import GroupEstimate, Interval
from pytest_convergence.metrics.summaries import Summaries
from pytest_convergence.stats.power import (
    Spread,
    families_needed,
    power,
    spread_from_pilot,
    spread_from_values,
    suggest_threshold,
    to_settle,
)


def panel(
    seed: int, prompts: int, samples: int, apart: float = 0.6
) -> list[list[NDArray[np.float64]]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(1, prompts, 1, 8)) + apart * rng.normal(size=(3, prompts, 1, 8))
    draws = centres + 0.8 * rng.normal(size=(3, prompts, samples, 8))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    return [list(row) for row in draws]


def estimate(seed: int, prompts: int, samples: int, apart: float = 0.6) -> GroupEstimate:
    names = [f"p{p:03}" for p in range(prompts)]
    blocks = panel(seed, prompts, samples, apart)
    return estimate_group(
        Summaries.from_features(blocks, models="abc", prompts=names), seed=0, permutations=0
    )


@pytest.fixture(scope="module")
def pilots() -> list[Spread]:
    families = [f"f{p:03}" for p in range(60)]
    return [spread_from_pilot(panel(seed, 60, 4), families=families) for seed in range(12)]


@pytest.mark.parametrize(("prompts", "samples"), [(40, 2), (40, 8), (160, 2)])
def test_a_pilot_foretells_the_standard_error_of_studies_of_other_sizes(
    pilots: list[Spread], prompts: int, samples: int
) -> None:
    foretold = np.mean([pilot.standard_error(prompts, samples) for pilot in pilots])
    # The error of a deviation of 70 scores is .085 of it.
    scores = [estimate(1000 + seed, prompts, samples).score for seed in range(70)]
    assert foretold == pytest.approx(np.std([s for s in scores if s is not None]), rel=0.25)


def test_families_that_are_needed_reach_the_power_and_one_less_does_not() -> None:
    spread = Spread(prompts=0.05, responses=0.04)
    needed = families_needed(spread, difference=0.1, samples=5)
    assert needed is not None
    assert power(spread, difference=0.1, families=needed, samples=5).power >= 0.8
    assert power(spread, difference=0.1, families=needed - 1, samples=5).power < 0.8
    assert families_needed(spread, difference=1e-6, samples=5) is None


def test_power_equals_a_simulation_of_t_intervals() -> None:
    rng = np.random.default_rng(0)
    spread = Spread(prompts=0.04, responses=0.0)
    draws = 0.1 + 0.2 * rng.normal(size=(20_000, 25))
    low = draws.mean(axis=1) - 2.0638986 * draws.std(axis=1, ddof=1) / 5.0
    expected = (low > 0).mean()
    assert power(spread, difference=0.1, families=25, samples=1).power == pytest.approx(
        expected, abs=0.011
    )


def test_the_smallest_detectable_difference_is_detected_with_the_target_power() -> None:
    spread = Spread(prompts=0.04, responses=0.1)
    plan = power(spread, difference=0.1, families=60, samples=5)
    again = power(spread, difference=plan.smallest_difference, families=60, samples=5)
    assert again.power == pytest.approx(0.8, abs=0.01)


def test_assumed_values_need_more_room_than_none() -> None:
    assert spread_from_values(similarity=0.5, within=0.8, floor=0.1).prompts > 0
    with pytest.raises(ValueError, match="above floor"):
        spread_from_values(similarity=0.5, within=0.1, floor=0.1)


def test_more_prompts_that_settle_it_bring_the_bound_to_the_threshold() -> None:
    found = to_settle(0.75, Interval(0.65, 0.85, 0.95, "t"), threshold=0.7, families=20)
    assert found.more_families == 60
    assert found.samples is None
    assert "60 more prompts" in str(found)


def test_samples_settle_it_only_where_prompts_alone_would_not_keep_it_open() -> None:
    interval = Interval(0.65, 0.85, 0.95, "t")
    noisy = Spread(prompts=0.001, responses=0.2)
    found = to_settle(0.75, interval, threshold=0.7, families=20, samples=2, spread=noisy)
    assert found.samples is not None
    ratio = noisy.standard_error(20, found.samples) / noisy.standard_error(20, 2)
    assert ratio <= 0.5
    steady = Spread(prompts=0.2, responses=0.001)
    assert (
        to_settle(0.75, interval, threshold=0.7, families=20, samples=2, spread=steady).samples
        is None
    )


def test_nothing_settles_an_estimate_that_lies_on_the_threshold() -> None:
    found = to_settle(0.7, Interval(0.6, 0.8, 0.95, "t"), threshold=0.7, families=20)
    assert found.more_families is None
    assert "no number" in str(found)


def test_a_suggested_threshold_is_cleared_by_nearly_all_new_studies_of_the_same_panel() -> None:
    cleared, count = 0, 40
    for seed in range(count):
        advice = suggest_threshold(estimate(seed, 30, 3))
        again = estimate(500 + seed, 30, 3).score
        cleared += again is not None and again >= advice.threshold
    assert cleared / count >= 0.9
    assert any("guards against change" in line for line in advice.reasoning)


def test_with_a_reference_the_threshold_lies_between_the_panels() -> None:
    alike, apart = estimate(1, 40, 3, apart=0.3), estimate(2, 40, 3, apart=1.5)
    assert alike.score is not None
    assert apart.score is not None
    advice = suggest_threshold(alike, reference=apart)
    assert apart.score < advice.threshold < alike.score
    with pytest.raises(ValueError, match="not below"):
        suggest_threshold(apart, reference=alike)
