"""Resampling of responses: intervals for one prompt, and nested in prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats


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
