from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.stats.rates import (
    compare_independent_rates,
    pass_rate,
    rate_difference,
    wilson_interval,
)

REPEATS = 800
# Three Monte Carlo errors below 93 % at this many repetitions.
AT_LEAST = 0.93 - 3 * (0.93 * 0.07 / REPEATS) ** 0.5


def beta_binomial(
    rng: np.random.Generator, prompts: int, answers: int, rate: float, correlation: float
) -> NDArray[np.int64]:
    """Passing answers by repetition and prompt, shape (REPEATS, prompts)."""
    spread = (1 - correlation) / correlation
    chances = rng.beta(rate * spread, (1 - rate) * spread, size=(REPEATS, prompts))
    return rng.binomial(answers, chances)


@pytest.mark.parametrize("correlation", [0.3, 0.8])
@pytest.mark.parametrize("rate", [0.6, 0.9, 0.97])
@pytest.mark.parametrize(("prompts", "answers"), [(5, 5), (20, 5), (50, 10)])
def test_intervals_that_cluster_cover_at_any_correlation_within_prompts(
    correlation: float, rate: float, prompts: int, answers: int
) -> None:
    rng = np.random.default_rng(20261)
    total = np.full(prompts, answers)
    covered = 0
    for passed in beta_binomial(rng, prompts, answers, rate, correlation):
        interval = pass_rate(passed, total).interval
        covered += interval.low <= rate <= interval.high
        assert interval.low < interval.high
    assert covered / REPEATS >= AT_LEAST


def test_an_interval_that_ignores_the_prompts_covers_far_less() -> None:
    rng = np.random.default_rng(20262)
    covered = 0
    for passed in beta_binomial(rng, 50, 10, 0.7, 0.8):
        interval = wilson_interval(int(passed.sum()), 500)
        covered += interval.low <= 0.7 <= interval.high
    assert covered / REPEATS < 0.7


def test_more_prompts_tell_more_than_more_answers() -> None:
    rng = np.random.default_rng(4)
    few_prompts = pass_rate(beta_binomial(rng, 20, 20, 0.7, 0.5)[0], np.full(20, 20))
    many_prompts = pass_rate(beta_binomial(rng, 80, 5, 0.7, 0.5)[0], np.full(80, 5))
    assert few_prompts.answers == many_prompts.answers == 400
    assert many_prompts.effective > 1.5 * few_prompts.effective


def test_unanimous_prompts_count_once_each() -> None:
    result = pass_rate([10] * 20, [10] * 20)
    assert result.rate == 1.0
    assert result.interval.high == 1.0
    # The exact lower bound for 20 of 20.
    assert result.interval.low == pytest.approx(0.025 ** (1 / 20))
    assert result.effective == pytest.approx(20)


def test_independent_answers_count_nearly_one_each_where_there_are_many_prompts() -> None:
    rng = np.random.default_rng(8)
    result = pass_rate(rng.binomial(10, 0.5, size=400), np.full(400, 10))
    assert result.effective > 3000


def test_prompts_without_an_answer_are_left_out_and_unequal_counts_weigh_alike() -> None:
    result = pass_rate([1, 9, 0], [1, 10, 0])
    assert result.rate == pytest.approx(0.95)
    assert result.prompts == 2
    assert result.answers == 11


def test_one_prompt_alone_says_next_to_nothing() -> None:
    interval = pass_rate([10], [10]).interval
    assert interval.low == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("prompts", "first", "second"),
    [(20, 0.8, 0.6), (50, 0.95, 0.9), (20, 0.97, 0.97), (8, 0.7, 0.5)],
)
def test_differences_paired_by_prompt_cover(prompts: int, first: float, second: float) -> None:
    rng = np.random.default_rng(20263)
    total = np.full(prompts, 5)
    covered = 0
    # A prompt is as hard for one model as for the other: one draw decides both models' chances.
    for hardness in rng.beta(0.5, 0.5, size=(REPEATS, prompts)):
        chances = [np.clip(rate + (hardness - 0.5) * 0.06, 0, 1) for rate in (first, second)]
        a, b = (rng.binomial(5, chance) for chance in chances)
        result = rate_difference(a, total, b, total)
        truth = first - second
        covered += result.interval.low <= truth <= result.interval.high
    assert covered / REPEATS >= AT_LEAST


def test_pairing_by_prompt_narrows_the_difference() -> None:
    rng = np.random.default_rng(6)
    hard = rng.beta(0.3, 0.3, size=60)
    a, b = rng.binomial(10, hard), rng.binomial(10, np.clip(hard - 0.05, 0, 1))
    total = np.full(60, 10)
    paired = rate_difference(a, total, b, total).interval
    one, two = pass_rate(a, total).interval, pass_rate(b, total).interval
    unpaired = np.hypot(one.high - one.low, two.high - two.low)
    assert paired.high - paired.low < 0.7 * unpaired


def test_models_that_never_differ_leave_room_for_what_was_not_seen() -> None:
    result = rate_difference([5] * 20, [5] * 20, [5] * 20, [5] * 20)
    assert result.difference == 0.0
    assert result.interval.high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert result.interval.low == -result.interval.high


def test_a_difference_is_antisymmetric() -> None:
    a, b, total = [5, 2, 0, 4], [3, 3, 1, 4], [5, 5, 5, 4]
    one, two = rate_difference(a, total, b, total), rate_difference(b, total, a, total)
    assert one.difference == pytest.approx(-two.difference)
    assert one.interval.low == pytest.approx(-two.interval.high)


def test_prompts_that_one_model_lacks_are_left_out_of_the_difference() -> None:
    result = rate_difference([5, 5, 0], [5, 5, 0], [0, 5, 5], [5, 5, 5])
    assert result.prompts == 2
    assert result.difference == 0.5
    with pytest.raises(ValueError, match="both models"):
        rate_difference([0], [0], [1], [1])


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="more answers that pass"):
        pass_rate([2], [1])
    with pytest.raises(ValueError, match="usable"):
        pass_rate([0], [0])
    with pytest.raises(ValueError, match="shape"):
        pass_rate([1, 1], [1])
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(3, 2)


def test_newcombes_interval_of_independent_rates_is_as_published() -> None:
    # Newcombe 1998, table II, case (a) 56/70 against 48/80, method 10.
    interval = compare_independent_rates((56, 70), (48, 80)).interval
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
