"""Did a rate change between two recordings of the same prompts?

In an unchanged model the samples of one prompt could have been drawn in either recording. So given
how many of both together pass, how many of the new ones do is hypergeometric, prompt by prompt,
and the distribution of their sum is known exactly: for rare answers, for few samples and for
prompts that always or never pass alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.metrics.terms import family_starts
from pytest_convergence.stats.change import Change, change_by_families
from pytest_convergence.stats.gating import Look, Movement, movement

Counts: TypeAlias = NDArray[np.int64]
Bound: TypeAlias = Literal["at_least", "at_most"]

# Prompts of a family share its weight; weights are whole numbers, so that sums have few values.
_WEIGHT = 60
# From this length on sums of chances are made by Fourier transforms, exact to 1e-16.
_LONG = 512


@dataclass(frozen=True, eq=False)
class RateCounts:
    """Answers that count and answers that could, of M models on P prompts, each of shape (M, P)."""

    passed: Counts
    usable: Counts


@dataclass(frozen=True, eq=False)
class RatePair:
    """The same models and prompts before and after, prompts sorted by family.

    ``redrawn`` says which models were recorded anew, shape (M,): the others lend no noise.
    ``by_families`` says of which samples within prompts tell nothing: there is one, or copies of
    one, shape (M,).
    """

    before: RateCounts
    after: RateCounts
    families: Sequence[str]
    redrawn: Sequence[bool]
    by_families: Sequence[bool]

    def rates(self) -> tuple[Floats, Floats]:
        """Each model's rate before and after, shape (M,): the mean over families of prompts.

        Prompts that a model lacks on either side are left out of both; nan where none is left.
        """
        first, second = (_mean(self.by_family(side)) for side in (self.before, self.after))
        return first, second

    def shared(self) -> NDArray[np.bool_]:
        """The prompts that a model has on both sides, shape (M, P)."""
        return (self.before.usable > 0) & (self.after.usable > 0)

    def by_family(self, side: RateCounts) -> Floats:
        """Each family's rate on one side, shape (M, F); nan where a model has none."""
        starts, shared = family_starts(tuple(self.families)), self.shared()
        passed, usable = (
            np.add.reduceat(np.where(shared, counts, 0), starts, axis=1).astype(np.float64)
            for counts in (side.passed, side.usable)
        )
        return np.divide(passed, usable, out=np.full_like(passed, np.nan), where=usable > 0)


def look_at_rates(
    pair: RatePair,
    *,
    direction: Bound,
    smallest_effect: float,
    groups: int,
    alpha: float,
    seed: int,
) -> Look:
    """Did the mean rate of a panel change, or that of one of its models?

    Parameters
    ----------
    direction
        What the test asks of the rate: of ``"at_least"`` a fall is the regression, of
        ``"at_most"`` a rise.
    smallest_effect
        A difference of rates, in [0, 1].
    groups, alpha
        As of `movement`; each model of several is one more look.

    Raises
    ------
    ValueError
        Where no model has a prompt on both sides.
    """
    models = len(pair.redrawn)
    looks = groups * (1 + models if models > 1 else 1)
    known = np.flatnonzero(pair.shared().any(axis=1))
    if not len(known):
        raise ValueError("no model has a usable answer to the same prompt before and after")

    def judged(change: Change) -> Movement:
        return movement(
            change,
            direction="converges" if direction == "at_least" else "diverges",
            smallest_effect=smallest_effect,
            groups=looks,
            alpha=alpha,
        )

    change = rate_change(pair, known, seed=seed)
    members = tuple(
        rate_change(pair, np.array([m]), seed=seed) if m in known else None
        for m in range(models if models > 1 else 0)
    )
    return Look.of(change, members, judged)


def rate_change(
    pair: RatePair, chosen: NDArray[np.intp], *, seed: int, level: float = 0.95
) -> Change:
    """The change of the mean rate of the models at the positions ``chosen``.

    Notes
    -----
    By samples: the exact conditional test of the sum over prompts (Mantel and Haenszel 1959;
    Zelen 1971), which at one sample a prompt is McNemar's. Its level holds whatever the rates
    are. By families: signs of the families' differences are flipped, as for scores.
    """
    first, second = (float(np.mean(rates[chosen])) for rates in pair.rates())
    if any(pair.by_families[m] and pair.redrawn[m] for m in chosen):
        sides = [pair.by_family(side)[chosen] for side in (pair.before, pair.after)]
        without = [_without_each(side) for side in sides]
        return change_by_families(first, second, without[0], without[1], seed=seed, level=level)
    falling, rising = _tails(pair, chosen)
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt(_variance(pair, chosen))
    difference = second - first
    low, high = max(difference - half, -1.0), min(difference + half, 1.0)
    return Change(difference, Interval(low, high, level, "samples within prompts"), falling, rising)


def _mean(by_family: Floats) -> Floats:
    known = np.isfinite(by_family)
    total = np.where(known, by_family, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


def _without_each(by_family: Floats) -> Floats:
    """The mean of the models' rates with each family left out, shape (F,)."""
    known = np.isfinite(by_family)
    values = np.where(known, by_family, 0.0)
    left = known.sum(axis=1, keepdims=True) - known
    sums = values.sum(axis=1, keepdims=True) - values
    # A model that has this family alone keeps its rate.
    rates = np.where(left > 0, sums / np.maximum(left, 1), sums + values)
    return np.asarray(rates.mean(axis=0))


def _tails(pair: RatePair, chosen: NDArray[np.intp]) -> tuple[float, float]:
    """One-sided p values of a fall and of a rise as large as this, by the exact distribution."""
    redrawn = np.zeros(len(pair.redrawn), dtype=np.bool_)
    redrawn[chosen] = np.asarray(pair.redrawn)[chosen]
    cells = pair.shared() & redrawn[:, None]
    weights = np.broadcast_to(_weights(pair.families), cells.shape)[cells]
    new, old = pair.after.usable[cells], pair.before.usable[cells]
    hits = pair.after.passed[cells]
    both = hits + pair.before.passed[cells]
    open_ones = (both > 0) & (both < new + old)
    weights, new, old, hits, both = (one[open_ones] for one in (weights, new, old, hits, both))
    lowest = np.maximum(0, both - old)
    strata = Counter(zip(*(one.tolist() for one in (new, old, both, weights)), strict=True))
    chances = _sum_of([_stratum(*stratum) for stratum in strata.elements()])
    seen = int((weights * (hits - lowest)).sum())
    # Both tails from their own end: what is tiny must not drown in what is not.
    falling, rising = float(chances[: seen + 1].sum()), float(chances[seen:].sum())
    return min(falling, 1.0), min(rising, 1.0)


def _weights(families: Sequence[str]) -> Counts:
    """Whole numbers inverse to the size of each prompt's family, shape (P,)."""
    sizes = Counter(families)
    common = math.lcm(*sizes.values())
    scale = common if common <= _WEIGHT else _WEIGHT
    weights = [max(round(scale / sizes[family]), 1) for family in families]
    return np.array(weights, dtype=np.int64) // math.gcd(*weights)


def _stratum(new: int, old: int, both: int, weight: int) -> Floats:
    """Chances of ``weight`` x the passing new answers, counted from the fewest that there can be.

    Of ``new + old`` answers ``both`` pass; which of them are new is a matter of chance.
    """
    from scipy.special import gammaln

    def ways(whole: int, part: Counts) -> Floats:
        return np.asarray(gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1))

    hits = np.arange(max(0, both - old), min(both, new) + 1)
    chances = np.exp(ways(new, hits) + ways(old, both - hits) - ways(new + old, np.array(both)))
    spread = np.zeros((len(hits) - 1) * weight + 1)
    spread[::weight] = chances
    return spread


def _sum_of(parts: list[Floats]) -> Floats:
    """The distribution of a sum of independent whole numbers, two by two."""
    while len(parts) > 1:
        joined = [_joined(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = joined + parts[2 * len(joined) :]
    return parts[0] if parts else np.ones(1)


def _joined(first: Floats, second: Floats) -> Floats:
    if min(len(first), len(second)) < _LONG:
        return np.convolve(first, second)
    from scipy.signal import fftconvolve

    return np.asarray(np.maximum(fftconvolve(first, second), 0.0))


def _variance(pair: RatePair, chosen: NDArray[np.intp]) -> float:
    """How much drawing samples anew makes the difference vary.

    Each prompt's share is drawn towards its model's by one answer, so that five of five alike do
    not pass for certainty.
    """
    starts, shared = family_starts(tuple(pair.families)), pair.shared()
    sizes = np.diff(np.append(starts, shared.shape[1]))
    total = 0.0
    for side in (pair.before, pair.after):
        usable = np.where(shared, side.usable, 0).astype(np.float64)
        passed = np.where(shared, side.passed, 0).astype(np.float64)
        model = (passed.sum(axis=1) + 0.5) / (usable.sum(axis=1) + 1.0)
        share = (passed + model[:, None]) / (usable + 1.0)
        of_family = np.repeat(np.add.reduceat(usable, starts, axis=1), sizes, axis=1)
        families = (np.add.reduceat(usable, starts, axis=1) > 0).sum(axis=1)
        lever = usable / np.maximum(of_family, 1.0) / np.maximum(families, 1)[:, None]
        noise = lever**2 * share * (1.0 - share) / np.maximum(usable, 1.0)
        anew = [m for m in chosen if pair.redrawn[m]]
        total += float(noise[anew].sum()) / len(chosen) ** 2
    return total
