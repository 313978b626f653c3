"""The figures of the Artificial Hivemind: repetition inside a model, sameness across models."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Similarities closer than this are ties: identical texts differ by rounding alone.
_TIE = 1e-6


def mean_pairwise_similarity(features: ArrayLike) -> float:
    """Mean inner product of different rows of ``features``, shape (n, d); self-pairs are out."""
    vectors = np.asarray(features, dtype=np.float64)
    n = len(vectors)
    if n < 2:
        raise ValueError("similarity between responses needs at least two of them")
    total = vectors.sum(axis=0)
    return float((total @ total - (vectors**2).sum()) / (n * (n - 1)))


@dataclass(frozen=True, eq=False)
class Homogeneity:
    """Mean pairwise similarity by prompt, its mean, and the share of prompts above a cut-off.

    ``by_prompt`` has shape (P,), nan where a prompt has fewer than two responses; those prompts
    are in neither figure.
    """

    by_prompt: NDArray[np.float64]
    mean: float
    share_above: float
    cutoff: float
    prompts: int


def homogeneity(blocks: Sequence[ArrayLike], *, cutoff: float = 0.8) -> Homogeneity:
    """How alike the responses to each prompt are.

    Parameters
    ----------
    blocks
        For each prompt the unit features of its responses, shape (n, d): one model's for
        repetition inside it, all models' for sameness across them.
    cutoff
        The study found 79 % of its prompts above .8 for repeated samples of one model, with one
        embedding model: the cut-off means nothing under another one.

    References
    ----------
    Jiang et al. 2025, "Artificial Hivemind: the open-ended homogeneity of language models".
    """
    arrays = [np.asarray(block, dtype=np.float64) for block in blocks]
    values = np.array([mean_pairwise_similarity(a) if len(a) > 1 else np.nan for a in arrays])
    usable = values[~np.isnan(values)]
    if not len(usable):
        raise ValueError("no prompt has two responses")
    return Homogeneity(
        values, float(usable.mean()), float(np.mean(usable > cutoff)), cutoff, len(usable)
    )


@dataclass(frozen=True, slots=True)
class SourceModels:
    """From how many models a response's nearest neighbours come.

    ``mean`` is over responses; ``by_chance`` is its value if model names were shuffled;
    ``neighbours`` is how many were looked at. A mean near chance says that models cannot be told
    apart; a mean near 1, that each keeps to itself.
    """

    mean: float
    by_chance: float
    neighbours: int


def unique_source_models(
    features: ArrayLike, sources: Sequence[Hashable], *, neighbours: int = 10
) -> SourceModels:
    """Number of different models among the nearest neighbours of each response to one prompt.

    Parameters
    ----------
    features
        Shape (n, d): all models' responses to one prompt.
    sources
        Which model each is from.
    neighbours
        How many nearest other responses to look at, at most n - 1. Where several are equally
        near, as identical texts are, the count is the expected one over random choices, so that
        the order of responses does not matter.

    References
    ----------
    Jiang et al. 2025, "Artificial Hivemind", who count them among the 50 nearest.
    """
    vectors = np.asarray(features, dtype=np.float64)
    if len(vectors) != len(sources):
        raise ValueError(f"{len(vectors)} responses but {len(sources)} sources")
    if not 1 <= neighbours < len(vectors):
        raise ValueError(f"{neighbours} neighbours of {len(vectors)} responses cannot be found")
    _, owner = np.unique([str(source) for source in sources], return_inverse=True)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    found = [_expected_sources(row, owner, neighbours) for row in similarity]
    return SourceModels(float(np.mean(found)), _by_chance(owner, neighbours), neighbours)


def _expected_sources(row: NDArray[np.float64], owner: NDArray[Any], neighbours: int) -> float:
    threshold = np.partition(row, -neighbours)[-neighbours]
    nearer = row > threshold + _TIE
    tied = np.abs(row - threshold) <= _TIE
    seen = set(owner[nearer].tolist())
    left = neighbours - int(nearer.sum())
    tied_by_owner = np.bincount(owner[tied]).tolist()
    total = int(tied.sum())
    return len(seen) + sum(
        1 - _none_drawn(total, count, left)
        for model, count in enumerate(tied_by_owner)
        if count and model not in seen
    )


def _by_chance(owner: NDArray[Any], neighbours: int) -> float:
    """Expected number of models among ``neighbours`` of the other responses, drawn at random."""
    counts = np.bincount(owner).tolist()
    n = len(owner)
    mean = 0.0
    for own, responses in enumerate(counts):
        others = [count - (model == own) for model, count in enumerate(counts)]
        drawn = sum(1 - _none_drawn(n - 1, count, neighbours) for count in others)
        mean += responses * drawn / n
    return mean


def _none_drawn(total: int, marked: int, draws: int) -> float:
    """Probability that ``draws`` of ``total`` without replacement miss all ``marked`` ones."""
    return comb(total - marked, draws) / comb(total, draws)
