"""Nested resampling: prompts first, then the responses to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.jackknife import jackknife_panel
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts, terms_from_summaries


def nested_interval(
    features: Sequence[Sequence[NDArray[np.floating[Any]]]],
    *,
    families: Sequence[str],
    level: float = 0.95,
    resamples: int = 499,
    seed: int,
) -> Interval:
    """A percentile interval of the panel's score over families of prompts, then responses.

    The interval that comes with a score already speaks for new responses too, since they differ
    between prompts; this one, wider, is for comparison with studies that resample twice.

    Parameters
    ----------
    features
        ``features[m][p]``, shape (n, d), of M models on P prompts.
    families
        For each prompt the name of its family.

    Notes
    -----
    A family drawn twice stays one family in the floor, and a response drawn twice is no pair of
    its own in within: both would be pairs of a thing with itself.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(families))
    members = {name: [p for p, f in enumerate(families) if f == name] for name in names}
    replicated = all(np.median([len(block) for block in row]) > 1 for row in features)
    scores = []
    for _ in range(resamples):
        drawn = sorted(rng.integers(len(names), size=len(names)))
        columns = [(names[f], p) for f in drawn for p in members[names[f]]]
        summaries = _resampled(features, columns, rng)
        terms = terms_from_summaries(summaries)
        starts = family_starts(summaries.families)
        panel = jackknife_panel(terms, starts, replicated=replicated).panel
        scores.append(float(panel.values.score))
    usable = np.array([score for score in scores if np.isfinite(score)])
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, "nested bootstrap (families, responses)")


def _resampled(
    features: Sequence[Sequence[NDArray[np.floating[Any]]]],
    columns: Sequence[tuple[str, int]],
    rng: np.random.Generator,
) -> Summaries:
    width = max(block.shape[1] for row in features for block in row)
    shape = (len(features), len(columns))
    counts = np.zeros(shape, dtype=np.int64)
    sums, squares = np.zeros((*shape, width)), np.zeros(shape)
    for m, row in enumerate(features):
        for position, (_, p) in enumerate(columns):
            if len(row[p]):
                block = np.asarray(row[p], dtype=np.float64)
                counts[m, position] = len(block)
                sums[m, position], squares[m, position] = _drawn(block, rng)
    return Summaries(
        tuple(map(str, range(len(features)))),
        tuple(map(str, range(len(columns)))),
        tuple(family for family, _ in columns),
        counts,
        sums,
        squares,
    )


def _drawn(block: Floats, rng: np.random.Generator) -> tuple[Floats, float]:
    """The sum of n responses drawn again, and the squares that give within without self-pairs."""
    size = len(block)
    weights = rng.multinomial(size, np.full(size, 1.0 / size)).astype(np.float64)
    total = weights @ block
    norm, own = float(total @ total), float(weights**2 @ (block**2).sum(axis=1))
    different = size**2 - float((weights**2).sum())
    if size < 2:
        return total, own
    if different:
        within = (norm - own) / different
    else:  # one response n times: nothing drawn about within, so what was seen stands
        seen = block.sum(axis=0)
        within = (float(seen @ seen) - float((block**2).sum())) / (size * (size - 1))
    return total, norm - size * (size - 1) * within
