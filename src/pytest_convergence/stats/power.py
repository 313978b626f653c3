"""Planning: how many prompts and samples, which threshold, what would settle a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import GroupEstimate, Interval
from pytest_convergence.metrics.groups import usual_samples
from pytest_convergence.metrics.jackknife import jackknife_panel
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts, terms_from_summaries
from pytest_convergence.stats.intervals import deviations
from pytest_convergence.stats.student import student_quantile

_MOST_PROMPTS = 100_000


class Spread(Struct, frozen=True):
    """What a score's standard error is made of.

    ``prompts`` is the variance of a prompt's (family's) contribution to the score between
    prompts, with endless samples; ``responses`` is what one sample a prompt adds to it, and n
    samples the n-th part of it. The squared standard error at F families and n samples is
    ``(prompts + responses / n) / F``.
    """

    prompts: float
    responses: float

    def standard_error(self, families: int, samples: int) -> float:
        """Of the score, on its own scale."""
        return sqrt((self.prompts + self.responses / samples) / families)


def spread_from_pilot(
    features: Sequence[Sequence[NDArray[np.floating[Any]]]], *, families: Sequence[str]
) -> Spread:
    """The spread of a score, from a pilot's responses.

    The whole is the jackknife over families; the share that is due to sampling is the mean
    squared influence of single responses on their prompt's similarity, left out in turn. With one
    sample a prompt the two cannot be told apart and all of it is put down to prompts.

    Parameters
    ----------
    features
        ``features[m][p]``, shape (n, d), of at least two models on at least four families.

    Raises
    ------
    ValueError
        Where the pilot has no score.
    """
    order = sorted(range(len(families)), key=lambda p: families[p])
    sorted_families = [families[p] for p in order]
    blocks = [[row[p] for p in order] for row in features]
    summaries = Summaries.from_features(
        blocks,
        models=[str(m) for m in range(len(blocks))],
        prompts=[str(p) for p in order],
        families=sorted_families,
    )
    samples = usual_samples(summaries.counts)
    starts = family_starts(summaries.families)
    panel = jackknife_panel(terms_from_summaries(summaries), starts, replicated=samples > 1).panel
    room = float(panel.values.room)
    if not (isfinite(float(panel.values.score)) and room > 0):
        raise ValueError("the pilot has no score: its ceiling is not above its floor")
    moves = deviations(panel.values.score, panel.without.score, panel.counted)
    units = float(panel.families)
    whole = float((moves**2).sum() / (units - 1))
    if samples < 2:
        return Spread(whole, 0.0)
    noise = np.array([_sampling_variance([row[p] for row in blocks]) for p in range(len(order))])
    members = np.diff(np.append(starts, len(order)))
    by_family = np.add.reduceat(noise, starts) / members**2
    sampling = min(float(by_family.mean()) / room**2, whole)
    return Spread(whole - sampling, sampling * samples)


def _sampling_variance(blocks: Sequence[NDArray[np.floating[Any]]]) -> float:
    """Variance of one prompt's mean similarity over new responses to it."""
    usable = [np.asarray(block, dtype=np.float64) for block in blocks if len(block)]
    if len(usable) < 2:
        return 0.0
    means: Floats = np.stack([block.mean(axis=0) for block in usable])
    pairs = len(usable) * (len(usable) - 1) / 2
    total = means.sum(axis=0)
    return sum(
        float((((block - mean) @ (total - mean) / pairs) ** 2).sum())
        / (len(block) * (len(block) - 1))
        for block, mean in zip(usable, means, strict=True)
        if len(block) > 1
    )


def spread_from_values(
    *, similarity: float, within: float, floor: float, prompt_sd: float = 0.2
) -> Spread:
    """The spread of a pair's score, from assumed values, for want of a pilot.

    Parameters
    ----------
    similarity, within, floor
        Between models, of a model with itself, and by chance, as a report gives them.
    prompt_sd
        How far a prompt's true similarity strays from the mean; .15 to .25 on real panels.

    Notes
    -----
    The sampling part is that of two labels that agree with chance ``similarity``, a bound for
    similarities in [0, 1].
    """
    room = within - floor
    if room <= 0:
        raise ValueError(f"within ({within}) must be above floor ({floor}) for a score to exist")
    bound = max(similarity * (1.0 - similarity), 0.0)
    return Spread(prompt_sd**2 / room**2, bound / room**2)


class Power(Struct, frozen=True):
    """The chance that a study settles what it asks, and its smallest detectable difference."""

    families: int
    samples: int
    standard_error: float
    power: float
    smallest_difference: float


def power(
    spread: Spread,
    *,
    difference: float,
    families: int,
    samples: int,
    level: float = 0.95,
    target: float = 0.8,
) -> Power:
    """The chance that a score's interval clears a threshold that lies ``difference`` away.

    Parameters
    ----------
    difference
        Between the true score and the threshold, without sign.
    level
        Of the interval whose bound decides.
    target
        Power at which ``smallest_difference`` is detected.

    Notes
    -----
    By the noncentral t distribution with families - 1 degrees of freedom.
    """
    from scipy.special import nctdtr

    error = spread.standard_error(families, samples)
    freedom = families - 1.0
    critical = float(student_quantile(level, freedom))
    reached = 1.0 - float(nctdtr(freedom, abs(difference) / error, critical)) if error else 1.0
    # 2 target - 1, because a two-sided quantile is asked for a one-sided chance.
    extra = float(student_quantile(2.0 * target - 1.0, freedom))
    return Power(families, samples, error, reached, (critical + extra) * error)


def families_needed(
    spread: Spread,
    *,
    difference: float,
    samples: int,
    level: float = 0.95,
    target: float = 0.8,
) -> int | None:
    """The fewest families that detect ``difference`` with power ``target``; None above 100,000."""

    def enough(families: int) -> bool:
        found = power(
            spread, difference=difference, families=families, samples=samples, level=level
        )
        return found.power >= target

    low, high = 4, 4
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST_PROMPTS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


class Settlement(Struct, frozen=True):
    """What would settle an inconclusive verdict, were the estimate to stay where it is.

    ``smallest_difference`` is the distance from the threshold that this interval could have told.
    ``more_families`` and ``samples`` are the further families of prompts, or the samples a
    prompt, at which the interval would clear the threshold; None where none would.
    """

    smallest_difference: float
    more_families: int | None
    samples: int | None

    def __str__(self) -> str:
        ways = []
        if self.more_families is not None:
            ways.append(f"{self.more_families} more prompts like these")
        if self.samples is not None:
            ways.append(f"{self.samples} samples a prompt")
        how = " or ".join(ways) or "no number of prompts or samples: it lies on the threshold"
        return f"smallest detectable difference {self.smallest_difference:.3f}; to settle it: {how}"


def to_settle(
    value: float,
    interval: Interval,
    *,
    threshold: float,
    families: int,
    samples: int = 1,
    spread: Spread | None = None,
) -> Settlement:
    """How many more prompts or samples would move the nearer bound past the threshold.

    Widths shrink with the root of the families; what more samples do needs a ``spread``.
    """
    reach = value - interval.low if value >= threshold else interval.high - value
    distance = abs(value - threshold)
    if distance >= reach:
        return Settlement(reach, 0, samples)
    if distance < 1e-9 or (reach / distance) ** 2 * families > _MOST_PROMPTS:
        return Settlement(reach, None, None)
    more = max(ceil((reach / distance) ** 2 * families) - families, 1)
    return Settlement(reach, more, _samples_needed(spread, distance / reach, families, samples))


def _samples_needed(
    spread: Spread | None, shrink: float, families: int, samples: int
) -> int | None:
    """Samples at which the standard error is ``shrink`` times what it is; None where none do."""
    if spread is None or not spread.responses:
        return None
    left = (shrink * spread.standard_error(families, samples)) ** 2 * families - spread.prompts
    return ceil(spread.responses / left) if left > spread.responses / _MOST_PROMPTS else None


class ThresholdAdvice(Struct, frozen=True):
    """A threshold for ``assert_converges`` or ``assert_diverges``, and why this one."""

    threshold: float
    reasoning: tuple[str, ...]


def suggest_threshold(
    pilot: GroupEstimate,
    *,
    direction: str = "converges",
    reference: GroupEstimate | None = None,
    families: int | None = None,
) -> ThresholdAdvice:
    """Which threshold? From a pilot, or from it and a panel known to be on the other side.

    With a ``reference`` (models known to differ where convergence is asserted, known to be alike
    where divergence is) the threshold lies between the two panels, nearer to the one that is
    better known. Without, it is what a new study of ``families`` prompts like the pilot's would
    still clear 95 times in 100: a guard against change, not a claim of how alike is alike.

    Raises
    ------
    ValueError
        Where the pilot's or the reference's score is undefined.
    """
    value, half = _score(pilot, "pilot")
    sign = 1.0 if direction == "converges" else -1.0
    if reference is not None:
        other, other_half = _score(reference, "reference panel")
        if sign * (value - other) <= 0:
            raise ValueError(
                f"the reference panel's score ({other:.2f}) is not "
                f"{'below' if sign > 0 else 'above'} the pilot's ({value:.2f})"
            )
        cut = (value * other_half + other * half) / (half + other_half)
        apart = abs(value - other) > half + other_half
        reasons = (
            f"the pilot scores {value:.2f} +/- {half:.2f}, the reference {other:.2f} +/- "
            f"{other_half:.2f}",
            f"{cut:.2f} lies between them, nearer to the one with the narrower interval",
            "their intervals do not meet"
            if apart
            else "their intervals overlap: this threshold will misjudge some runs",
        )
        return ThresholdAdvice(round(cut, 2), reasons)
    size = families or pilot.families
    reach = half * sqrt(1.0 + pilot.families / size)
    cut = value - sign * reach
    rounded = np.floor(cut * 100) / 100 if sign > 0 else np.ceil(cut * 100) / 100
    reasons = (
        f"the pilot scores {value:.2f} with a 95% interval of +/- {half:.2f} "
        f"over {pilot.families} families of prompts",
        f"a new study of {size} families differs from it by up to {reach:.2f} in 95 of 100 cases",
        "this guards against change; it does not say how alike is alike enough",
    )
    return ThresholdAdvice(float(rounded), reasons)


def _score(estimate: GroupEstimate, which: str) -> tuple[float, float]:
    """The score and the wider half of its interval."""
    if estimate.score is None or estimate.interval is None:
        raise ValueError(f"the {which} has no score: {estimate.undefined}")
    interval = estimate.interval
    return estimate.score, max(estimate.score - interval.low, interval.high - estimate.score)
