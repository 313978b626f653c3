"""Where the responses to one prompt lie to each other: a map of two dimensions, and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

_HIGHEST = 0.9
_DEFAULT = 0.8


@dataclass(frozen=True, eq=False)
class ResponseMap:
    """A picture of one prompt's responses, in the order of the features given.

    Attributes
    ----------
    positions
        Shape (n, 2): the two principal coordinates, rounded to three places.
    clusters
        Shape (n,): from 0, the largest first, then by first response.
    cutoff
        Mean similarity at which two clusters still merge.
    """

    positions: _Floats
    clusters: NDArray[np.intp]
    cutoff: float


def response_map(blocks: Sequence[NDArray[np.floating]]) -> ResponseMap | None:
    """Place responses by their features, and gather those that are alike.

    Two clusters merge (average linkage) while their responses are as alike as a model's own
    answers are: the mean within of the models that have two responses, at most .9; .8 where none
    has. A picture, no evidence: nothing is decided by it.

    Parameters
    ----------
    blocks
        For each model its usable responses' features, shape (n_m, d).

    Returns
    -------
    ResponseMap or None
        None for fewer than three responses, which have nothing to show.

    References
    ----------
    Gower 1966 (principal coordinates, from inner products); Sokal and Michener 1958.
    """
    features = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    if len(features) < 3:
        return None
    similarity = features @ features.T
    cutoff = _cutoff(similarity, [len(block) for block in blocks])
    return ResponseMap(_principal(similarity), _clusters(similarity, cutoff), cutoff)


def _cutoff(similarity: _Floats, counts: Sequence[int]) -> float:
    withins, start = [], 0
    for count in counts:
        own = similarity[start : start + count, start : start + count]
        start += count
        if count > 1:
            withins.append(own[~np.eye(count, dtype=np.bool_)].mean())
    return min(float(np.mean(withins)), _HIGHEST) if withins else _DEFAULT


def _principal(similarity: _Floats) -> _Floats:
    """The first two principal coordinates, each with its largest part above 0."""
    centred = similarity - similarity.mean(axis=0) - similarity.mean(axis=1)[:, None]
    values, vectors = np.linalg.eigh(centred + similarity.mean())
    axes = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0.0))
    largest = axes[np.abs(axes).argmax(axis=0), [0, 1]]
    rounded: _Floats = np.round(axes * np.where(largest < 0, -1.0, 1.0), 3) + 0.0
    return rounded


def _clusters(similarity: _Floats, cutoff: float) -> NDArray[np.intp]:
    from scipy.cluster.hierarchy import fcluster, linkage

    lengths = np.sqrt(np.maximum(np.diagonal(similarity), 1e-300))
    distance = np.maximum(1.0 - similarity / np.outer(lengths, lengths), 0.0)
    tree = linkage(distance[np.triu_indices(len(distance), k=1)], method="average")
    found = fcluster(tree, 1.0 - cutoff + 1e-9, criterion="distance")
    _, first, inverse, counts = np.unique(
        found, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -counts))
    ranks: NDArray[np.intp] = np.argsort(order)[inverse]
    return ranks
