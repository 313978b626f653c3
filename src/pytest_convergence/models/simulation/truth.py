"""What is true of a simulated panel: the estimand computed from distributions, without a draw.

With a finite set of replies ``x`` of probability ``p(x)`` the mean feature vector of a model is
``a = sum p(x) f(x)``, and every population quantity is a product of such means: two independent
replies of one model are alike by ``a.a``, of two models by ``a.b``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Population:
    """The estimand of M models over P prompts at infinitely many samples.

    ``similarity``, ``floor``, ``ceiling`` and ``score`` are the panel's, over the pairs of
    different models; ``within`` and ``same_model_floor`` are means over models. The fields in
    ``pairs_*`` have shape (M, M), symmetric, within and the same-model floor on the diagonals.
    ``score`` is nan where ceiling and floor coincide; ``similarity_by_prompt`` and
    ``within_by_prompt`` have shape (P,).
    """

    models: tuple[str, ...]
    similarity: float
    within: float
    floor: float
    same_model_floor: float
    ceiling: float
    score: float
    similarity_by_prompt: Floats
    within_by_prompt: Floats
    pairs_similarity: Floats
    pairs_floor: Floats
    pairs_ceiling: Floats
    pairs_score: Floats


def population(
    means: Floats, *, models: Sequence[str], families: Sequence[str] | None = None
) -> Population:
    """The population estimand from mean feature vectors, shape (M, P, d).

    Parameters
    ----------
    means
        ``sum p(x) f(x)`` of each model on each prompt.
    models
        M names, at least two.
    families
        For each prompt its family: the floor is over ordered pairs of prompts of different
        families, all pairs alike. Without it each prompt is its own.
    """
    names = np.unique(np.asarray(families or range(means.shape[1])), return_inverse=True)[1]
    apart = (names[:, None] != names[None, :]).astype(float)
    across = np.einsum("apd,bqd->abpq", means, means)
    by_prompt = np.einsum("abpp->abp", across)
    similarity = by_prompt.mean(axis=2)
    floor = (
        np.einsum("abpq,pq->ab", across, apart) / apart.sum()
        if apart.any()
        else similarity * np.nan
    )
    floor = (floor + floor.T) / 2
    within = np.diagonal(similarity)
    ceiling = np.sqrt(np.outer(within, within))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (similarity - floor) / (ceiling - floor)
    pairs = np.triu_indices(len(models), 1)
    panel = [float(matrix[pairs].mean()) for matrix in (similarity, floor, ceiling)]
    span = panel[2] - panel[1]
    return Population(
        models=tuple(models),
        similarity=panel[0],
        within=float(within.mean()),
        floor=panel[1],
        same_model_floor=float(np.diagonal(floor).mean()),
        ceiling=panel[2],
        score=(panel[0] - panel[1]) / span if span else float("nan"),
        similarity_by_prompt=by_prompt[pairs].mean(axis=0),
        within_by_prompt=np.einsum("aap->ap", by_prompt).mean(axis=0),
        pairs_similarity=similarity,
        pairs_floor=floor,
        pairs_ceiling=ceiling,
        pairs_score=score,
    )


def mean_features(
    distributions: Sequence[Sequence[Sequence[tuple[str, float]]]],
    features: Callable[[Sequence[str]], NDArray[np.floating]],
) -> Floats:
    """Mean feature vectors, shape (M, P, d), of ``distributions[m][p]`` = [(text, probability)].

    ``features`` maps T texts to an array of shape (T, d); it is called once, with every text.
    """
    texts = list(dict.fromkeys(t for row in distributions for cell in row for t, _ in cell))
    row_of = {text: row for row, text in enumerate(texts)}
    vectors = np.asarray(features(texts), dtype=np.float64)
    shape = (len(distributions), len(distributions[0]), vectors.shape[1])
    means = np.zeros(shape)
    for m, row in enumerate(distributions):
        for p, cell in enumerate(row):
            for text, probability in cell:
                means[m, p] += probability * vectors[row_of[text]]
    return means


def one_hot_means(labels: Sequence[Sequence[Mapping[str, float]]]) -> Floats:
    """Mean one-hot vectors, shape (M, P, L), of ``labels[m][p]`` = {label: probability}."""
    names = sorted({name for row in labels for cell in row for name in cell})
    return np.array([[[cell.get(name, 0.0) for name in names] for cell in row] for row in labels])
