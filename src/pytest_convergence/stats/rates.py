"""Rates with intervals that know which answers belong to one prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_convergence.metrics.estimates import Interval

_Floats = NDArray[np.float64]

# How many prompts that differ from the rest it takes before half is believed of what they say
# about the spread between prompts; found by simulation, see `pass_rate`.
_DOUBT = 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of answers and its interval.

    Attributes
    ----------
    rate
        Mean over prompts of the share of answers that pass, in [0, 1].
    interval
        For prompts like these; never of zero width.
    prompts, answers
        How many prompts have an answer, and how many answers there are.
    effective
        The number of independent answers that would tell as much.
    """

    rate: float
    interval: Interval
    prompts: int
    answers: int
    effective: float


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval for *independent* trials.

    Several answers to one prompt are not independent: at an intra-prompt correlation of .3 this
    interval at 95 % covers 80 %, at .8 65 %. Use `pass_rate` for them.

    References
    ----------
    Wilson 1927; Brown, Cai and DasGupta 2001.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials")
    z = _normal_quantile(level)
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    # At the ends the bound is 0 or 1 up to rounding.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return Interval(low, high, level, "Wilson score")


def pass_rate(passed: ArrayLike, total: ArrayLike, *, level: float = 0.95) -> Rate:
    """The rate at which answers pass, with an interval that clusters by prompt.

    Clopper and Pearson's exact interval at the effective number of answers
    ``r (1 - r)/v``, v being the variance of the mean over prompts (Korn and Graubard 1998). Where
    k prompts that differ from the rest are all that is known about the spread, that number is
    drawn towards the number of prompts P (one answer counted a prompt):
    ``1/n' = w/n + (1 - w)/P`` with ``w = k/(k + 2)``. In simulation with beta-binomial prompts
    (5 to 200 prompts, 2 to 20 answers, rates .5 to .99, intra-prompt correlations 0, .3 and .8)
    a nominal 95 % covers 95 % or more.

    Parameters
    ----------
    passed, total
        Passing and usable answers of each prompt, shape (P,). Prompts with no usable answer are
        left out. Families count as one prompt: add them up first.
    """
    rates, totals = _prompt_rates(passed, total)
    count = _effective(rates, float(totals.sum()))
    low, high = _clopper_pearson(float(rates.mean()), count, level)
    interval = Interval(low, high, level, "Clopper-Pearson, clustered by prompt")
    return Rate(float(rates.mean()), interval, len(rates), int(totals.sum()), count)


@dataclass(frozen=True, slots=True)
class RateDifference:
    """How much the first rate is above the second, on the prompts both answered."""

    difference: float
    interval: Interval
    first: float
    second: float
    prompts: int


def rate_difference(
    first_passed: ArrayLike,
    first_total: ArrayLike,
    second_passed: ArrayLike,
    second_total: ArrayLike,
    *,
    level: float = 0.95,
) -> RateDifference:
    """Difference of two models' pass rates, paired by prompt.

    Gains and losses by prompt each get the interval of `pass_rate`; the two are joined by the
    method of variance estimates recovery, with their correlation. Unlike a t interval it has a
    width where the models never differ: what was not seen in P prompts may still occur in
    ``1 - .05^(1/P)`` of them.

    Parameters
    ----------
    first_passed, first_total, second_passed, second_total
        Shape (P,), the same prompts in the same order. A prompt that either model lacks is left
        out.

    References
    ----------
    Zou and Donner 2008, "Construction of confidence limits about effect measures"; Newcombe 1998.
    """
    totals = np.asarray(first_total), np.asarray(second_total)
    shared = (totals[0] > 0) & (totals[1] > 0)
    if not shared.any():
        raise ValueError("no prompt was answered by both models")
    a, _ = _prompt_rates(np.asarray(first_passed)[shared], totals[0][shared])
    b, _ = _prompt_rates(np.asarray(second_passed)[shared], totals[1][shared])
    answers = float((totals[0] + totals[1])[shared].sum())
    low, high = difference_bounds(a - b, level=level, answers=answers)
    interval = Interval(low, high, level, "variance recovery, paired by prompt")
    return RateDifference(
        float((a - b).mean()), interval, float(a.mean()), float(b.mean()), int(shared.sum())
    )


def difference_bounds(
    differences: _Floats, *, level: float, answers: float = math.inf
) -> tuple[float, float]:
    """Bounds for the mean of differences in [-1, 1] by prompt, see `rate_difference`.

    ``answers`` caps the effective number, where differences are of rates.
    """
    gains, losses = np.maximum(differences, 0.0), np.maximum(-differences, 0.0)
    gain, loss = float(gains.mean()), float(losses.mean())
    gain_low, gain_high = _clopper_pearson(gain, _effective(gains, answers), level)
    loss_low, loss_high = _clopper_pearson(loss, _effective(losses, answers), level)
    spread = gains.std() * losses.std()
    correlation = 0.0 if spread == 0 else float(np.mean(gains * losses) - gain * loss) / spread
    low = _recovered(gain - gain_low, loss_high - loss, correlation)
    high = _recovered(gain_high - gain, loss - loss_low, correlation)
    return max(gain - loss - low, -1.0), min(gain - loss + high, 1.0)


def _recovered(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0))


@dataclass(frozen=True, slots=True)
class RateComparison:
    """Two rates from independent trials: their difference, its interval, Fisher's exact p."""

    difference: float
    interval: Interval
    pvalue: float


def compare_independent_rates(
    first: tuple[int, int], second: tuple[int, int], *, level: float = 0.95
) -> RateComparison:
    """Compare two shares of independent trials, each given as (successes, trials).

    Newcombe's hybrid score interval and Fisher's exact test. For two models on the same prompts
    use `rate_difference`.

    References
    ----------
    Newcombe 1998, method 10; Fisher 1935.
    """
    from scipy.stats import fisher_exact

    one, two = (wilson_interval(*counts, level=level) for counts in (first, second))
    a, b = first[0] / first[1], second[0] / second[1]
    low = a - b - math.hypot(a - one.low, two.high - b)
    high = a - b + math.hypot(one.high - a, b - two.low)
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    interval = Interval(low, high, level, "Newcombe hybrid score")
    return RateComparison(a - b, interval, float(fisher_exact(table).pvalue))


def _prompt_rates(passed: ArrayLike, total: ArrayLike) -> tuple[_Floats, _Floats]:
    counts = np.asarray(passed, dtype=np.float64)
    totals = np.asarray(total, dtype=np.float64)
    if counts.shape != totals.shape or counts.ndim != 1:
        raise ValueError(
            f"passed has shape {counts.shape}, total {totals.shape}; both must be (P,)"
        )
    if ((counts < 0) | (counts > totals)).any():
        raise ValueError("a prompt has more answers that pass than answers")
    answered = totals > 0
    if not answered.any():
        raise ValueError("no prompt has a usable answer")
    return counts[answered] / totals[answered], totals[answered]


def _effective(rates: _Floats, answers: float) -> float:
    """The number of independent answers that would leave the mean of ``rates`` as uncertain."""
    prompts = len(rates)
    mean = float(rates.mean())
    variance = float(rates.var(ddof=1)) / prompts if prompts > 1 else math.inf
    plain = mean * (1 - mean) / variance if variance > 0 else answers
    plain = min(max(plain, float(prompts)), max(answers, float(prompts)))
    differing = float(min((rates < 1).sum(), (rates > 0).sum()))
    trust = differing / (differing + _DOUBT)
    return 1 / (trust / plain + (1 - trust) / prompts)


def _clopper_pearson(share: float, count: float, level: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    hits = share * count
    misses = count - hits
    low = 0.0 if share <= 0 else float(betaincinv(hits, misses + 1, tail))
    high = 1.0 if share >= 1 else float(betaincinv(hits + 1, misses, 1 - tail))
    return low, high


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + level) / 2)
