"""Intervals for one prompt, where the unit is the response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.stats.intervals import unseen_share
from pytest_convergence.stats.student import student_quantile

# With this many responses that differ from the commonest one, their own spread says enough.
_FEW_DISSENTING = 8
_TIE = 1e-6


def panel_similarity(means: Floats) -> Floats:
    """Mean of ``a . b`` over pairs of mean vectors, shape (..., M, d) to (...)."""
    models = means.shape[-2]
    total = (means.sum(axis=-2) ** 2).sum(axis=-1) - (means**2).sum(axis=(-2, -1))
    return np.asarray(total / (models * (models - 1)))


def response_interval(blocks: Sequence[Floats], *, level: float) -> Interval:
    """An interval for the similarity of M models on one prompt, leaving each response out in turn.

    A stratified jackknife (models are the strata) with Student's t at the degrees of freedom of
    Satterthwaite (1946). Where nearly all responses are the same, the share of others that might
    have been missed (Clopper & Pearson 1934) bounds it. It speaks for more responses of these
    models to this prompt. A model with one response is taken as it is.

    Parameters
    ----------
    blocks
        Features of each model's responses, shape (n, d); at least one has two.
    """
    means = np.stack([block.mean(axis=0) for block in blocks])
    value = float(panel_similarity(means))
    error, freedom = _error(blocks, means)
    reach = float(student_quantile(level, freedom)) * error
    everything = np.concatenate(list(blocks))
    top = float((everything**2).sum(axis=1).max()) or 1.0
    least = 0.0 if (everything >= 0).all() else -top
    low = min(value - reach, _unseen_low(everything, top, level))
    high = value + reach
    if high - low < _TIE:
        smallest = min(len(block) for block in blocks)
        share = float(unseen_share(np.int64(0), np.int64(smallest), level))
        low, high = value - share * value, value + share * (top - value)
    return Interval(
        min(max(low, least), value),
        max(min(high, top), value),
        level,
        "jackknife-t over responses (Satterthwaite, Clopper-Pearson)",
    )


def _error(blocks: Sequence[Floats], means: Floats) -> tuple[float, float]:
    """Standard error of the similarity and its degrees of freedom."""
    pairs = len(blocks) * (len(blocks) - 1) / 2
    total = means.sum(axis=0)
    variances, freedoms = [], []
    for block, mean in zip(blocks, means, strict=True):
        size = len(block)
        if size > 1:
            moves = (block - mean) @ (total - mean) / pairs
            variances.append(float((moves**2).sum()) / (size * (size - 1)))
            freedoms.append(size - 1.0)
    variance = sum(variances)
    spread = sum(v * v / f for v, f in zip(variances, freedoms, strict=True))
    return variance**0.5, variance**2 / spread if spread > 0 else sum(freedoms)


def _unseen_low(everything: Floats, top: float, level: float) -> float:
    """The least similarity where all but a few responses are the same; else no bound."""
    same = (everything @ everything.T > top - _TIE).sum(axis=1).max()
    count = len(everything)
    dissenting = count - same
    if dissenting >= min(_FEW_DISSENTING, count / 2):
        return float("inf")
    share = float(unseen_share(np.int64(dissenting), np.int64(count), level))
    return float(top * (1.0 - share) ** 2)


def bootstrap_responses(
    blocks: Sequence[Floats], *, level: float, resamples: int, seed: int
) -> Interval:
    """The percentile bootstrap of the same similarity, for many responses a model.

    Spread by ``sqrt(n / (n - 1))``, because n resampled responses vary less than n new ones.
    """
    rng = np.random.default_rng(seed)
    value = float(panel_similarity(np.stack([block.mean(axis=0) for block in blocks])))
    means = np.empty((resamples, len(blocks), blocks[0].shape[1]))
    for m, block in enumerate(blocks):
        size = len(block)
        weights = rng.multinomial(size, np.full(size, 1.0 / size), size=resamples) / size
        centre = block.mean(axis=0)
        spread = np.sqrt(size / (size - 1.0)) if size > 1 else 1.0
        means[:, m] = centre + spread * (weights @ block - centre)
    low, high = np.quantile(panel_similarity(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        min(float(low), value), max(float(high), value), level, "bootstrap over responses"
    )
