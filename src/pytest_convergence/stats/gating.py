"""Did a score change between two recordings of the same prompts?

The prompts are the same on both sides, so what could make two recordings of an unchanged panel
differ is the drawing of responses alone. How much it does is known from the spread of each model's
samples on each prompt; where there is one sample, or copies of one, from the families of prompts
taken as pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts

Movement: TypeAlias = Literal["unchanged", "regressed", "improved"]
Direction: TypeAlias = Literal["converges", "diverges"]

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


def movement(
    change: Change, *, direction: Direction, smallest_effect: float, groups: int, alpha: float
) -> Movement:
    """Regressed or improved, where the change is significant and large enough to matter.

    Bonferroni's correction: a suite of ``groups`` unchanged groups fails with probability at most
    ``alpha``, and each group's verdict depends on no other's.

    Parameters
    ----------
    direction
        What the test guards. Where that is agreement a fall is the regression, else a rise.
    smallest_effect
        In units of the score.
    """
    down = change.falling <= alpha / groups and change.difference <= -smallest_effect
    up = change.rising <= alpha / groups and change.difference >= smallest_effect
    if not (up or down) or change.difference == 0:
        return "unchanged"
    return "regressed" if down == (direction == "converges") else "improved"


def change_by_samples(
    before: float, after: float, noise: Floats, freedom: Floats, *, level: float = 0.95
) -> Change:
    """A change measured by the spread of samples within prompts.

    Parameters
    ----------
    noise
        Variance that each cell (model and prompt, of either side) lends to the difference, any
        shape; see `response_variance`. Cells that were not drawn anew lend none and are left out.
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


def score_gradient(summaries: Summaries, *, score: float, room: float) -> Floats:
    """Of the panel's score by each cell's mean feature vector, shape (M, P, d).

    Parameters
    ----------
    summaries
        Prompts sorted by family.
    score, room
        The panel's score and ceiling less floor, at which the score is linearised.
    """
    parts = _Gradients.of(summaries)
    return (parts.similarity - (1.0 - score) * parts.floor - score * parts.ceiling) / room


def similarity_gradient(summaries: Summaries) -> Floats:
    """Of the panel's similarity by each cell's mean feature vector, shape (M, P, d)."""
    return _Gradients.of(summaries).similarity


def response_variance(gradient: Floats, blocks: Sequence[Sequence[Floats]]) -> Floats:
    """Variance that drawing responses lends to a value, by cell, shape (M, P).

    Parameters
    ----------
    gradient
        Of the value by each cell's mean, (M, P, d). The mean of the gradients at both recordings:
        one at the very responses whose noise is asked for would count that noise twice where it
        matters most, near unanimity. With the mean, nominal levels hold from two models on eight
        prompts on (``benchmarks/gate.py``).
    blocks
        Features of the responses, ``blocks[m][p]`` of shape (n, d).

    Returns
    -------
    array
        ``var(g . x) / n``, the delta method; nan where there are fewer than two responses.
    """
    counts = np.array([[len(block) for block in row] for row in blocks])
    result: Floats = np.full(counts.shape, np.nan)
    for size in np.unique(counts[counts > 1]):
        rows, columns = np.nonzero(counts == size)
        stacked = np.stack([blocks[int(m)][int(p)] for m, p in zip(rows, columns, strict=True)])
        values = np.einsum("cnd,cd->cn", stacked, gradient[rows, columns])
        result[rows, columns] = values.var(axis=1, ddof=1) / size
    return result


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


@dataclass(frozen=True, eq=False)
class _Gradients:
    """Of the panel's similarity, floor and ceiling by each cell's mean vector, (M, P, d)."""

    similarity: Floats
    floor: Floats
    ceiling: Floats

    @classmethod
    def of(cls, summaries: Summaries) -> _Gradients:
        present = (summaries.counts > 0).astype(np.float64)
        means = summaries.sums / np.maximum(summaries.counts, 1)[:, :, None]
        shared = present @ present.T
        models = len(present)
        pairs = models * (models - 1) / 2
        weights = np.divide(1.0, shared, out=np.zeros_like(shared), where=shared > 0)
        np.fill_diagonal(weights, 0.0)
        own = present[:, :, None]
        others = np.tensordot(weights, means, axes=(1, 0)) * own
        elsewhere, partners = _other_families(summaries, means, present)
        apart = np.divide(1.0, partners, out=np.zeros_like(partners), where=partners > 0)
        np.fill_diagonal(apart, 0.0)
        floors = np.tensordot(apart, elsewhere, axes=(1, 0)) * own
        return cls(others / pairs, floors / pairs, _ceiling_gradient(summaries, means, pairs) * own)


def _other_families(summaries: Summaries, means: Floats, present: Floats) -> tuple[Floats, Floats]:
    """Sums over the prompts of other families, (M, P, d), and how many pairs there are, (M, M)."""
    starts = family_starts(summaries.families)
    sizes = np.diff(np.append(starts, means.shape[1]))
    by_family = np.repeat(np.add.reduceat(means, starts, axis=1), sizes, axis=1)
    members = np.add.reduceat(present, starts, axis=1)
    totals = present.sum(axis=1)
    partners = np.outer(totals, totals) - members @ members.T
    return means.sum(axis=1, keepdims=True) - by_family, partners


def _ceiling_gradient(summaries: Summaries, means: Floats, pairs: float) -> Floats:
    counts = summaries.counts
    replicated = counts > 1
    known = replicated.sum(axis=1)
    if not known.all():
        return np.zeros_like(means)
    safe = np.where(replicated, counts, 2)
    norms = np.einsum("mpd,mpd->mp", means, means)
    within = np.where(replicated, (safe * norms - summaries.squares / safe) / (safe - 1), 0.0)
    roots = np.sqrt(np.maximum(within.sum(axis=1) / known, 1e-12))
    # The mean over pairs of the root of W_a W_b, by W_a.
    slopes = (roots.sum() - roots) / (2.0 * roots * pairs)
    steps = np.where(replicated, (slopes / known)[:, None], 0.0)
    return np.asarray(2.0 * means * steps[:, :, None])
