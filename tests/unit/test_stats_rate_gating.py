"""The gate's statistics on rates: exact p values, levels in simulation, power, families, copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, fisher_exact, hypergeom

from pytest_convergence.stats.gating import Look
from pytest_convergence.stats.rate_gating import (
    RateCounts,
    RatePair,
    look_at_rates,
    rate_change,
)

Floats = NDArray[np.float64]
MODELS, PROMPTS, SAMPLES, GROUPS = 5, 30, 5, 10
EVERY = np.arange(MODELS)


def pair(
    before: Sequence[Sequence[tuple[int, int]]],
    after: Sequence[Sequence[tuple[int, int]]],
    *,
    families: Sequence[str] | None = None,
    redrawn: Sequence[bool] | None = None,
    by_families: bool = False,
) -> RatePair:
    """From (passing, usable) by model and prompt."""
    sides = [RateCounts(*np.moveaxis(np.array(side), 2, 0)) for side in (before, after)]
    models, prompts = sides[0].passed.shape
    names = families or [f"p{index:03}" for index in range(prompts)]
    return RatePair(
        sides[0], sides[1], names, redrawn or [True] * models, [by_families] * models
    )  # fmt: skip


def looked(one: RatePair, direction: Literal["at_least", "at_most"] = "at_least") -> Look:
    return look_at_rates(
        one, direction=direction, smallest_effect=0.05, groups=GROUPS, alpha=0.05, seed=1
    )


def panel(kind: int, rng: np.random.Generator) -> Floats:
    """How often each model passes each prompt, (M, P): erratic, steady, nearly perfect, rare."""
    low, high = ((0.3, 0.9), (0.8, 1.0), (0.97, 1.0), (0.0, 0.2))[kind % 4]
    rates = rng.uniform(low, high, (MODELS, PROMPTS))
    if kind % 3 == 0:  # half of the prompts always or never pass
        rates = np.where(rng.random(rates.shape) < 0.5, np.round(rates), rates)
    return rates


def recorded(
    first: Floats, second: Floats, rng: np.random.Generator, samples: int = SAMPLES
) -> RatePair:
    sides = [
        RateCounts(rng.binomial(samples, rates), np.full(rates.shape, samples))
        for rates in (first, second)
    ]
    names = [f"p{index:03}" for index in range(first.shape[1])]
    return RatePair(
        sides[0], sides[1], names, [True] * len(first), [samples == 1] * len(first)
    )  # fmt: skip


def false_alarms(suites: int, rng: np.random.Generator, samples: int = SAMPLES) -> float:
    """Share of re-recordings of an unchanged suite of ten groups in which a rate regresses."""
    failed = 0
    for _ in range(suites):
        found = []
        for kind in range(GROUPS):
            rates = panel(kind, rng)
            found.append(looked(recorded(rates, rates, rng, samples)).movement)
        failed += "regressed" in found
    return failed / suites


def power(share: float, trials: int, rng: np.random.Generator) -> float:
    """How often one model is caught that passes a third as often on a share of the prompts."""
    caught = 0
    for trial in range(trials):
        rates = panel((0, 1, 2)[trial % 3], rng)
        changed, model = rates.copy(), int(rng.integers(MODELS))
        chosen = rng.choice(PROMPTS, size=round(share * PROMPTS), replace=False)
        changed[model, chosen] /= 3.0
        caught += looked(recorded(rates, changed, rng)).movement == "regressed"
    return caught / trials


def test_for_one_prompt_the_p_values_are_fishers() -> None:
    change = rate_change(pair([[(9, 10)]], [[(4, 8)]]), np.array([0]), seed=1)
    table = [[4, 4], [9, 1]]
    assert change.falling == pytest.approx(fisher_exact(table, alternative="less").pvalue)
    assert change.rising == pytest.approx(fisher_exact(table, alternative="greater").pvalue)


def test_for_one_sample_a_prompt_they_are_mcnemars() -> None:
    before = [[(1, 1)] * 9 + [(0, 1)] * 3 + [(1, 1)] * 20]
    after = [[(0, 1)] * 9 + [(1, 1)] * 3 + [(1, 1)] * 20]
    expected = binomtest(3, 12, 0.5, alternative="less").pvalue
    for by_families in (False, True):
        change = rate_change(pair(before, after, by_families=by_families), np.array([0]), seed=1)
        assert change.falling == pytest.approx(expected)
        assert change.difference == pytest.approx(-6 / 32)


def test_over_prompts_and_models_the_sum_has_its_exact_distribution() -> None:
    before, after = [[(3, 4), (5, 5)], [(2, 3), (1, 5)]], [[(1, 5), (4, 5)], [(0, 2), (3, 3)]]
    change = rate_change(pair(before, after), np.arange(2), seed=1)
    seen = sum(hits for row in after for hits, _ in row)
    chances: dict[int, float] = {0: 1.0}
    for olds, news in zip(before, after, strict=True):
        for (old, of_old), (new, of_new) in zip(olds, news, strict=True):
            stratum = hypergeom(of_old + of_new, old + new, of_new)
            joined: dict[int, float] = {}
            for total, chance in chances.items():
                for hits in range(of_new + 1):
                    weight = chance * float(stratum.pmf(hits))
                    joined[total + hits] = joined.get(total + hits, 0.0) + weight
            chances = joined
    falling = sum(chance for total, chance in chances.items() if total <= seen)
    rising = sum(chance for total, chance in chances.items() if total >= seen)
    assert change.falling == pytest.approx(falling)
    assert change.rising == pytest.approx(rising)


def test_in_a_large_study_the_tails_stay_exact() -> None:
    # Long sums are made by Fourier transforms: against the normal law they tend to.
    rng = np.random.default_rng(3)
    rates = rng.uniform(0.2, 0.8, (1, 2000))
    one = recorded(rates, rates - 0.02, rng)
    change = rate_change(one, np.array([0]), seed=1)
    both = (one.before.passed + one.after.passed).astype(float)
    variance = (both * (10 - both) * 25 / (100 * 9)).sum()
    shift = (one.after.passed.sum() - both.sum() / 2 + 0.5) / np.sqrt(variance)
    from scipy.stats import norm

    assert change.falling == pytest.approx(norm.cdf(shift), rel=0.02)
    assert change.falling + change.rising == pytest.approx(1.0, abs=0.01)


def test_a_suite_of_unchanged_rates_fails_no_more_often_than_stated() -> None:
    rng = np.random.default_rng(20261121)
    assert false_alarms(40, rng) <= 0.05
    assert false_alarms(20, rng, samples=1) <= 0.05


def test_each_look_keeps_its_level_without_the_smallest_effect() -> None:
    rng = np.random.default_rng(2)
    falling, rising = [], []
    for trial in range(600):
        rates = panel(trial, rng)
        change = rate_change(recorded(rates, rates, rng), EVERY[:1], seed=1)
        falling.append(change.falling)
        rising.append(change.rising)
    for pvalues in (falling, rising):
        assert np.mean(np.array(pvalues) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)


def test_a_model_that_passes_less_often_on_half_the_prompts_is_caught() -> None:
    rng = np.random.default_rng(4)
    curve = [power(share, 60, rng) for share in (0.1, 0.3, 0.5)]
    assert curve == sorted(curve)
    assert curve[-1] >= 0.9


def test_the_interval_covers_the_change_on_these_prompts() -> None:
    rng = np.random.default_rng(5)
    covered = []
    for trial in range(300):
        rates = panel(trial, rng)
        changed = rates * rng.uniform(0.5, 1.0)
        interval = rate_change(recorded(rates, changed, rng), np.array([1]), seed=1).interval
        truth = float((changed - rates)[1].mean())
        covered.append(interval.low - 1e-9 <= truth <= interval.high + 1e-9)
    assert np.mean(covered) >= 0.92


def test_a_prompt_counts_for_what_it_weighs_in_the_rate() -> None:
    def fallen(prompts: int) -> Look:
        after = [[(0, 5)] * prompts + [(5, 5)] * (30 - prompts)]
        return looked(pair([[(5, 5)] * 30], after))

    # One prompt of 30 may well be significant, and is less than the smallest effect.
    assert fallen(1).change.falling == pytest.approx(1 / 252)
    assert [fallen(prompts).movement for prompts in (1, 2)] == ["unchanged", "regressed"]


def test_direction_says_which_way_is_worse_and_small_changes_are_none() -> None:
    high, low = [[(5, 5)] * 20], [[(2, 5)] * 20]
    assert looked(pair(high, low), "at_least").movement == "regressed"
    assert looked(pair(high, low), "at_most").movement == "improved"
    assert looked(pair(low, high), "at_most").movement == "regressed"
    many = [[(50, 100)] * 400], [[(48, 100)] * 400]
    small = looked(pair(*many))
    assert small.change.falling < 1e-6
    assert small.movement == "unchanged"


def test_which_model_moved_is_known_and_those_recorded_before_lend_no_noise() -> None:
    rng = np.random.default_rng(6)
    rates = np.full((3, 20), 0.6)
    changed = rates.copy()
    changed[1] = 0.1
    one = recorded(rates, changed, rng)
    found = looked(one)
    assert found.moves[1] == "regressed"
    assert found.moves[0] == found.moves[2] == "unchanged"
    widths = []
    for redrawn in ([True, True, True], [False, True, False]):
        alone = RatePair(one.before, one.after, one.families, redrawn, one.by_families)
        interval = rate_change(alone, np.arange(3), seed=1).interval
        widths.append(interval.high - interval.low)
    assert widths[1] < 0.7 * widths[0]


def test_variants_of_a_prompt_count_as_one_prompt() -> None:
    # Ten variants of one prompt fail where nine other prompts pass: a tenth of the prompts fell.
    before = [[(5, 5)] * 19]
    after = [[(0, 5)] * 10 + [(5, 5)] * 9]
    names = ["a"] * 10 + [f"b{index}" for index in range(9)]
    change = rate_change(pair(before, after, families=names), np.array([0]), seed=1)
    assert change.difference == pytest.approx(-0.1)
    single = rate_change(pair(before, after), np.array([0]), seed=1)
    assert single.difference == pytest.approx(-10 / 19)
    flipped = pair(before, after, families=names, by_families=True)
    assert rate_change(flipped, np.array([0]), seed=1).falling == pytest.approx(0.5)


def test_copies_are_judged_by_prompts() -> None:
    # Each prompt's answer is drawn once and copied five times.
    rng = np.random.default_rng(7)
    alarms = {False: 0, True: 0}
    for _ in range(100):
        drawn = [rng.binomial(1, 0.5, (1, 14)) * 5 for _ in range(2)]
        sides = [[[(int(hits), 5) for hits in row] for row in one] for one in drawn]
        for copies in alarms:
            one = pair(sides[0], sides[1], by_families=copies)
            alarms[copies] += rate_change(one, np.array([0]), seed=1).falling <= 0.05
    assert alarms[True] <= 11
    assert alarms[False] >= 20


def test_prompts_that_either_side_lacks_are_left_out_and_none_is_an_error() -> None:
    before, after = [[(4, 5), (0, 0), (5, 5)]], [[(4, 5), (0, 5), (0, 0)]]
    change = rate_change(pair(before, after), np.array([0]), seed=1)
    assert change.difference == 0.0
    with pytest.raises(ValueError, match="no model has a usable answer"):
        looked(pair([[(0, 0)]], [[(1, 5)]]))
