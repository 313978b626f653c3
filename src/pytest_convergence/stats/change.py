"""How sure a difference between two recordings of the same prompts is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts

_EXACT_FLIPS = 14
_RANDOM_FLIPS = 19_999
_LEAST_FAMILIES = 4


@dataclass(frozen=True, slots=True)
class Change:
    """A difference, after minus before, and how unlikely it is in an unchanged panel.

    Attributes
    ----------
    falling, rising
        One-sided p values of a fall and of a rise as large as this.
    interval
        For the difference on these prompts.
    """

    difference: float
    interval: Interval
    falling: float
    rising: float


def change_by_samples(
    before: float, after: float, noise: Floats, freedom: Floats, *, level: float = 0.95
) -> Change:
    """A change measured by the spread of samples within prompts.

    Parameters
    ----------
    noise
        Variance that each cell (model and prompt, of either side) lends to the difference, any
        shape; see `noise.Spread`. Cells that were not drawn anew are left out.
    freedom
        Degrees of freedom of each, samples less one.

    Notes
    -----
    Student's t with Welch and Satterthwaite's degrees of freedom.
    """
    from scipy.special import stdtr, stdtrit

    difference = after - before
    variance = float(noise.sum())
    if variance <= 0:
        certain = Interval(difference, difference, level, "no spread within prompts")
        return Change(difference, certain, float(difference >= 0), float(difference <= 0))
    degrees = max(variance**2 / float((noise**2 / freedom).sum()), 1.0)
    error = math.sqrt(variance)
    half = float(stdtrit(degrees, 0.5 + level / 2)) * error
    interval = Interval(difference - half, difference + half, level, "samples within prompts")
    return Change(
        difference,
        interval,
        float(stdtr(degrees, difference / error)),
        float(stdtr(degrees, -difference / error)),
    )


def change_by_families(
    before: float,
    after: float,
    without_before: Floats,
    without_after: Floats,
    *,
    seed: int,
    level: float = 0.95,
) -> Change:
    """A change measured by families of prompts as pairs, for panels with one sample a prompt.

    Parameters
    ----------
    without_before, without_after
        The value with each family left out in turn, shape (F,), the same families.
    seed
        Of the random flips, where there are too many to try them all.

    Notes
    -----
    In an unchanged panel before and after could change places in any family, so the signs of the
    families' shares in the difference are arbitrary: p counts the signs that give as much
    (Fisher 1935; Phipson & Smyth 2010 for the 1 added). With few families no change can be
    significant. The interval is the jackknife's.
    """
    from scipy.special import stdtrit

    difference = after - before
    families = len(without_before)
    parts = families * difference - (families - 1) * (without_after - without_before)
    parts = parts[np.abs(parts) > 1e-12 * max(1.0, families)]
    total = float(parts.sum())
    sums = _flipped(parts, seed) if len(parts) else np.zeros(1)
    slack = 1e-9 * max(1.0, abs(total))
    extra = int(len(parts) > _EXACT_FLIPS)
    falling = (extra + np.count_nonzero(sums <= total + slack)) / (extra + len(sums))
    rising = (extra + np.count_nonzero(sums >= total - slack)) / (extra + len(sums))
    spread = float(np.sqrt((parts**2).sum() - total**2 / families) / families)
    half = float(stdtrit(max(families - 1, 1), 0.5 + level / 2)) * spread
    interval = Interval(difference - half, difference + half, level, "jackknife over families")
    return Change(difference, interval, float(falling), float(rising))


def least_pvalue(families: int) -> float:
    """The smallest p value that so many families taken as pairs can give."""
    return 0.5**families if families <= _EXACT_FLIPS else 1.0 / (_RANDOM_FLIPS + 1)


def _flipped(parts: Floats, seed: int) -> Floats:
    """Sums of the parts under all sign patterns, or under many random ones."""
    if len(parts) <= _EXACT_FLIPS:
        sums = np.zeros(1)
        for part in parts:
            sums = np.concatenate([sums + part, sums - part])
        return sums
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(_RANDOM_FLIPS, len(parts)), dtype=np.int8)
    return np.asarray((2.0 * signs - 1.0) @ parts)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a model's answers moved: squared maximum mean discrepancy, and its p value."""

    mmd2: float
    pvalue: float


def distribution_shift(before: Summaries, after: Summaries, model: int) -> Shift | None:
    """Does one model answer these prompts from another distribution than it did?

    Each prompt's unbiased ``within_before + within_after - 2 between`` (Gretton et al. 2012) has
    mean zero in an unchanged model; families of prompts are the units of a one-sided t test.
    None where fewer than four families have two samples on both sides.
    """
    from scipy.special import stdtr

    counts = before.counts[model], after.counts[model]
    usable = (counts[0] > 1) & (counts[1] > 1)
    means = [s.sums[model] / np.maximum(s.counts[model], 1)[:, None] for s in (before, after)]
    apart = _within(before, model) + _within(after, model)
    apart -= 2.0 * np.einsum("pd,pd->p", *means)
    starts = family_starts(before.families)
    sums = np.add.reduceat(np.where(usable, apart, 0.0), starts)
    sizes = np.add.reduceat(usable.astype(np.float64), starts)
    values = sums[sizes > 0] / sizes[sizes > 0]
    if len(values) < _LEAST_FAMILIES:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    if error <= 0:
        return Shift(mean, float(mean <= 0))
    return Shift(mean, float(stdtr(len(values) - 1, -mean / error)))


def _within(summaries: Summaries, model: int) -> Floats:
    """Mean similarity of a model's different samples by prompt; 0 where there is one."""
    counts, safe = summaries.counts[model], np.maximum(summaries.counts[model], 2)
    means = summaries.sums[model] / np.maximum(counts, 1)[:, None]
    norms = np.einsum("pd,pd->p", means, means)
    within = (safe * norms - summaries.squares[model] / safe) / (safe - 1)
    return np.where(counts > 1, within, 0.0)
