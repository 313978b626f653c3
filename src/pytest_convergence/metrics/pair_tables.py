"""Estimates from measures of whole pairs of models: there are no responses to put side by side.

A measure of two models' answer distributions, or of their pooled words, has no mean over pairs of
responses: hence no within that leaves self-pairs out, no floor, no ceiling and no score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pytest_convergence.metrics.estimates import (
    GroupEstimate,
    Interval,
    PairMatrices,
    PromptEstimate,
)
from pytest_convergence.metrics.groups import mean_of_known, usual_samples
from pytest_convergence.metrics.summaries import Floats, Ints
from pytest_convergence.stats.intervals import METHOD, Contributions, ratio_bounds


def pair_table(measure: Callable[[Floats, Floats], float], blocks: Sequence[Floats]) -> Floats:
    """A symmetric measure of every pair of models' feature sums on one prompt, shape (M, M).

    Parameters
    ----------
    measure
        From two vectors of counts to a similarity: ``distributions.js_similarity``.
    blocks
        One-hot features of each model's responses, shape (n, K).

    Returns
    -------
    ndarray
        nan on the diagonal and where a model has no response.
    """
    counts = [block.sum(axis=0, dtype=np.float64) for block in blocks]
    table = np.full((len(blocks), len(blocks)), np.nan)
    for a in range(len(blocks)):
        for b in range(a):
            if len(blocks[a]) and len(blocks[b]):
                table[a, b] = table[b, a] = measure(counts[a], counts[b])
    return table


def prompt_from_pairs(
    pairs: ArrayLike, *, models: Sequence[str], counts: Ints, identical: bool
) -> PromptEstimate:
    """The similarity of a panel on one prompt, the mean over its pairs; it has no interval."""
    table = np.asarray(pairs, dtype=np.float64)
    apart = table[np.triu_indices(len(models), k=1)]
    return PromptEstimate(
        models=tuple(models),
        counts=counts,
        similarity=mean_of_known(apart),
        within=None,
        pairs=table,
        interval=None,
        identical=identical,
    )


def group_from_pairs(
    tables: ArrayLike,
    *,
    models: Sequence[str],
    prompts: Sequence[str],
    families: Sequence[str],
    counts: Ints,
    why: str,
    confidence: float = 0.95,
    identical: bool = False,
) -> GroupEstimate:
    """The mean similarity of a panel over a group, with an interval over families; no score.

    Parameters
    ----------
    tables
        Of every prompt, shape (P, M, M); nan where a model lacks it.
    counts
        Usable responses, shape (M, P).
    why
        Why the measure has no score.
    """
    values = np.asarray(tables, dtype=np.float64)
    upper = np.triu_indices(len(models), k=1)
    by_prompt = np.array([mean_of_known(one[upper]) for one in values])
    similarity = np.array(
        [[mean_of_known(values[:, a, b]) for b in range(len(models))] for a in range(len(models))]
    )
    np.fill_diagonal(similarity, np.nan)
    nothing = np.full_like(similarity, np.nan)
    names = list(dict.fromkeys(families))
    means = np.array([mean_of_known(by_prompt[[f == name for f in families]]) for name in names])
    return GroupEstimate(
        models=tuple(models),
        prompts=tuple(prompts),
        families=len(names),
        samples=usual_samples(counts),
        similarity=mean_of_known(means),
        similarity_interval=_interval(means[np.isfinite(means)], confidence),
        within=None,
        floor=float("nan"),
        same_model_floor=float("nan"),
        ceiling=float("nan"),
        standard_error=float("nan"),
        score=None,
        interval=None,
        undefined=why,
        pairs=PairMatrices(similarity, *(nothing.copy() for _ in range(6))),
        own=np.full(len(models), np.nan),
        to_others=np.array([mean_of_known(row) for row in similarity]),
        by_prompt=by_prompt,
        leverage=np.full(len(prompts), np.nan),
        permutation_mean=None,
        permutation_p=None,
        mmd2=None,
        mmd_p=None,
        duplicates=0,
        identical=identical,
    )


def _interval(means: Floats, level: float) -> Interval | None:
    """For the mean of values in [0, 1] by family."""
    if len(means) < 2:
        return None
    one, mean = np.ones(()), np.asarray(means.mean())
    moves = means - mean
    parts = Contributions(mean, one, moves, np.zeros_like(moves), np.ones(len(means), np.bool_))
    low, high = ratio_bounds(parts, level=level, lowest=0.0 * one, highest=one)
    return Interval(float(low), float(high), level, METHOD)
