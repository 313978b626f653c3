"""May one model replace another? Equivalence within a margin, and paired tests of two models."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.stats.rates import difference_bounds

Verdict: TypeAlias = Literal["equivalent", "not equivalent", "undecided"]


def equivalence_verdict(interval: Interval, margin: float) -> Verdict:
    """What an interval for a difference says about equivalence within ``margin``.

    Equivalent where it lies inside (-margin, margin), not equivalent where it lies outside,
    undecided where it straddles an end. An interval of level ``1 - 2 alpha`` makes this a test
    at level alpha.
    """
    if margin <= 0:
        raise ValueError(f"margin is {margin}, not above 0")
    if -margin < interval.low and interval.high < margin:
        return "equivalent"
    if interval.high <= -margin or interval.low >= margin:
        return "not equivalent"
    return "undecided"


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Result of two one-sided tests.

    Attributes
    ----------
    difference
        Mean of first minus second.
    interval
        Its interval of level ``1 - 2 alpha``.
    pvalue
        The larger of the two one-sided p values: equivalence is claimed where it is under alpha.
    margin, verdict
        The largest difference that does not matter, and what the interval says about it.
    units
        Prompts, or families where given.
    """

    difference: float
    interval: Interval
    pvalue: float
    margin: float
    verdict: Verdict
    units: int


def paired_tost(
    first: ArrayLike,
    second: ArrayLike,
    *,
    margin: float,
    alpha: float = 0.05,
    families: Sequence[Hashable] | None = None,
) -> Equivalence:
    """Two one-sided tests that two models' values differ by less than ``margin`` on average.

    Parameters
    ----------
    first, second
        One value a prompt, shape (P,), the same prompts in the same order, in [0, 1] (a
        similarity, a rate, a score). nan is missing and leaves its prompt out.
    margin
        Chosen before looking at the data.
    families
        For each prompt its family; a family is one unit, with the mean of its prompts.

    Notes
    -----
    The tests are Student's where most values differ. Where half of them or more are equal, as with
    labels and rates, t takes rare large differences for none (it claims equivalence in 9 % of
    tries at a nominal 5 %), so the bounds of `rates.rate_difference` are used: models that never
    differ on P prompts are equivalent within a margin m where ``(1 - m)^P`` is under alpha.
    Neither sees what did not happen: small differences everywhere and a rare prompt on which the
    models part can look equivalent on few prompts.

    References
    ----------
    Schuirmann 1987. Equal to ``statsmodels.stats.weightstats.ttost_paired`` where most differ.
    """
    differences = _unit_differences(first, second, families)
    units = len(differences)
    if units < 2:
        raise ValueError(f"equivalence needs two prompts or families, not {units}")
    # A difference at the level of rounding is none.
    if np.mean(np.abs(differences) <= 1e-12) >= 0.5 or np.ptp(differences) <= 1e-12:
        interval, pvalue = _sparse_tests(differences, margin, alpha)
    else:
        interval, pvalue = _t_tests(differences, margin, alpha)
    verdict = equivalence_verdict(interval, margin)
    return Equivalence(float(differences.mean()), interval, pvalue, margin, verdict, units)


def _t_tests(
    differences: NDArray[np.float64], margin: float, alpha: float
) -> tuple[Interval, float]:
    from scipy.special import stdtr, stdtrit

    freedom = len(differences) - 1
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    half = float(stdtrit(freedom, 1 - alpha)) * error
    above = float(stdtr(freedom, -(mean + margin) / error))
    below = float(stdtr(freedom, (mean - margin) / error))
    interval = Interval(mean - half, mean + half, 1 - 2 * alpha, "paired t")
    return interval, max(above, below)


def _sparse_tests(
    differences: NDArray[np.float64], margin: float, alpha: float
) -> tuple[Interval, float]:
    from scipy.optimize import brentq

    low, high = difference_bounds(differences, level=1 - 2 * alpha)
    interval = Interval(low, high, 1 - 2 * alpha, "variance recovery, paired by prompt")

    def room(log_size: float) -> float:
        bounds = difference_bounds(differences, level=1 - 2 * math.exp(log_size))
        return margin - max(-bounds[0], bounds[1])

    # The smallest size at which equivalence is claimed: there the bounds touch the margin.
    smallest, largest = math.log(1e-12), math.log(0.5 - 1e-9)
    if room(largest) <= 0:
        return interval, 1.0
    if room(smallest) > 0:
        return interval, 1e-12
    return interval, math.exp(brentq(room, smallest, largest, xtol=1e-12))


def _unit_differences(
    first: ArrayLike, second: ArrayLike, families: Sequence[Hashable] | None
) -> NDArray[np.float64]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not hold the same prompts")
    differences: NDArray[np.float64] = a - b
    usable = ~np.isnan(differences)
    if families is None:
        return differences[usable]
    if len(families) != len(a):
        raise ValueError(f"{len(a)} prompts but {len(families)} families")
    names = [str(name) for name, keep in zip(families, usable, strict=True) if keep]
    _, member = np.unique(names, return_inverse=True)
    means: NDArray[np.float64] = np.bincount(member, weights=differences[usable]) / np.bincount(
        member
    )
    return means


@dataclass(frozen=True, slots=True)
class McNemar:
    """Prompts that only one of two models got right, and the exact p value that this is chance."""

    only_first: int
    only_second: int
    pvalue: float


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """Exact McNemar test of two models' right and wrong answers to the same prompts.

    Parameters
    ----------
    first, second
        Whether each model was right, shape (P,); nan is missing and leaves its prompt out. One
        answer a prompt: several need an interval that clusters (`rates.rate_difference`).

    References
    ----------
    McNemar 1947; the exact p is two-sided binomial with chance 1/2 on the discordant prompts.
    Equal to ``statsmodels.stats.contingency_tables.mcnemar(exact=True)``.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not hold the same prompts")
    only_first = int(((a == 1) & (b == 0)).sum())
    only_second = int(((a == 0) & (b == 1)).sum())
    discordant = only_first + only_second
    fewer = sum(math.comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * fewer / 2**discordant))
