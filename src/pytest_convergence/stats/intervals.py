"""Intervals whose unit is the prompt, or the family of prompts; for one prompt, the response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats


@dataclass(frozen=True, eq=False)
class Jackknife:
    """A statistic, its values with one unit left out (last axis) and its standard error."""

    value: Floats
    deleted: Floats
    standard_error: Floats
    units: Floats


def jackknife(value: Floats, deleted: Floats, counted: NDArray[np.bool_]) -> Jackknife:
    """Delete-one jackknife over the last axis of ``deleted``.

    Parameters
    ----------
    value, deleted
        The statistic, shape (...), and its values with one unit left out, shape (..., U).
    counted
        Which units the statistic rests on, shape (..., U).

    Notes
    -----
    The variance is taken around the full estimate, the larger of the two usual forms (Efron &
    Tibshirani 1993, An Introduction to the Bootstrap, ch. 11). nan where a deletion leaves
    nothing.
    """
    value = np.asarray(value, dtype=np.float64)
    units = counted.sum(axis=-1).astype(np.float64)
    moves = np.where(counted, deleted - value[..., None], 0.0)
    factor = np.where(units > 1, (units - 1.0) / np.maximum(units, 1.0), np.nan)
    return Jackknife(value, deleted, np.sqrt(factor * (moves**2).sum(axis=-1)), units)


def student_quantile(level: float, freedom: float | Floats) -> Floats:
    """The two-sided t quantile of a level, e.g. 2.09 for .95 and 19 degrees of freedom."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, 0.5 + level / 2.0))


def jackknife_bounds(estimate: Jackknife, level: float) -> tuple[Floats, Floats]:
    """Bounds by pair or for the panel: jackknife-t with one degree of freedom less than units."""
    freedom = np.maximum(estimate.units - 1.0, 1.0)
    reach = student_quantile(level, freedom) * estimate.standard_error
    return estimate.value - reach, estimate.value + reach


def jackknife_interval(estimate: Jackknife, level: float) -> Interval | None:
    """The interval of a scalar statistic, or None where it has fewer than two units."""
    if not np.isfinite(estimate.standard_error) or not np.isfinite(estimate.value):
        return None
    low, high = jackknife_bounds(estimate, level)
    return Interval(float(low), float(high), level, "jackknife-t over families")


def response_interval(
    blocks: Sequence[Floats], *, level: float, resamples: int, seed: int
) -> Interval:
    """An interval for one prompt's similarity, resampling each model's responses.

    The percentile bootstrap of the mean of ``a . b`` over pairs, spread by ``sqrt(n / (n - 1))``
    because n resampled responses vary less than n new ones.
    """
    rng = np.random.default_rng(seed)
    value = _panel_similarity(np.stack([block.mean(axis=0) for block in blocks]))
    means = np.empty((resamples, len(blocks), blocks[0].shape[1]))
    for m, block in enumerate(blocks):
        size = len(block)
        weights = rng.multinomial(size, np.full(size, 1.0 / size), size=resamples) / size
        centre = block.mean(axis=0)
        spread = np.sqrt(size / (size - 1.0)) if size > 1 else 1.0
        means[:, m] = centre + spread * (weights @ block - centre)
    low, high = np.quantile(_panel_similarity(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        min(float(low), float(value)), max(float(high), float(value)), level, "bootstrap"
    )


def _panel_similarity(means: Floats) -> Floats:
    """Mean of ``a . b`` over pairs of mean vectors, shape (..., M, d) to (...)."""
    models = means.shape[-2]
    total = (means.sum(axis=-2) ** 2).sum(axis=-1) - (means**2).sum(axis=(-2, -1))
    return np.asarray(total / (models * (models - 1)))
