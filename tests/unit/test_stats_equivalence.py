from __future__ import annotations

import numpy as np
import pytest

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.stats.equivalence import equivalence_verdict, mcnemar, paired_tost


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.04, 0.03, "equivalent"),
        (0.06, 0.2, "not equivalent"),
        (-0.2, -0.05, "not equivalent"),
        (-0.01, 0.06, "undecided"),
        (-0.2, 0.2, "undecided"),
    ],
)
def test_an_interval_inside_outside_or_astride_the_margin(
    low: float, high: float, verdict: str
) -> None:
    assert equivalence_verdict(Interval(low, high, 0.9, ""), 0.05) == verdict


@pytest.mark.parametrize("prompts", [5, 20, 100])
def test_equivalence_is_claimed_in_at_most_five_percent_at_the_margin(prompts: int) -> None:
    rng = np.random.default_rng(11)
    repeats, claims = 2000, 0
    for differences in rng.normal(0.05, 0.1, size=(repeats, prompts)):
        result = paired_tost(differences, np.zeros(prompts), margin=0.05)
        claims += result.verdict == "equivalent"
        assert (result.pvalue < 0.05) == (result.verdict == "equivalent")
    assert claims / repeats <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5


@pytest.mark.parametrize("prompts", [20, 40, 80])
def test_rare_large_differences_are_not_taken_for_equivalence(prompts: int) -> None:
    rng = np.random.default_rng(12)
    repeats, claims = 800, 0
    for different in rng.random(size=(repeats, prompts)) < 0.1:
        result = paired_tost(different, np.zeros(prompts), margin=0.1)
        claims += result.pvalue < 0.05
    assert claims / repeats <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5


def test_models_that_never_differ_are_equivalent_once_enough_prompts_say_so() -> None:
    few = paired_tost(np.ones(20), np.ones(20), margin=0.05)
    many = paired_tost(np.ones(90), np.ones(90), margin=0.05)
    assert few.verdict == "undecided"
    assert few.pvalue == pytest.approx(0.95**20)
    assert many.verdict == "equivalent"
    assert many.pvalue == pytest.approx(0.95**90)


def test_a_constant_difference_beyond_the_margin_is_never_equivalent() -> None:
    result = paired_tost(np.full(200, 0.9), np.full(200, 0.6), margin=0.1)
    assert result.verdict == "not equivalent"
    assert result.pvalue == 1.0


def test_a_family_is_one_unit_and_a_missing_prompt_none() -> None:
    first = [0.1, 0.3, 0.5, np.nan, 0.4]
    result = paired_tost(first, np.zeros(5), margin=1, families=["a", "a", "b", "b", "c"])
    by_hand = paired_tost([0.2, 0.5, 0.4], np.zeros(3), margin=1)
    assert result == by_hand
    assert result.units == 3


def test_equivalence_needs_matching_prompts_a_margin_and_two_of_them() -> None:
    with pytest.raises(ValueError, match="same prompts"):
        paired_tost([1, 2], [1], margin=0.1)
    with pytest.raises(ValueError, match="two prompts"):
        paired_tost([1], [1], margin=0.1)
    with pytest.raises(ValueError, match="margin"):
        paired_tost([1, 2], [1, 1], margin=0)
    with pytest.raises(ValueError, match="families"):
        paired_tost([1, 2], [1, 1], margin=0.1, families=["a"])


def test_mcnemar_looks_at_discordant_prompts_only() -> None:
    first = [1] * 5 + [0] * 1 + [1] * 90 + [np.nan]
    second = [0] * 5 + [1] * 1 + [1] * 90 + [1]
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (5, 1)
    assert result.pvalue == pytest.approx(2 * (1 + 6) / 64)
    assert mcnemar([1, 0], [1, 0]).pvalue == 1.0
    with pytest.raises(ValueError, match="same prompts"):
        mcnemar([1], [1, 0])
