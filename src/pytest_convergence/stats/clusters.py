"""Groups of models that converge, and whether they would be found again on other prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Models that belong together.

    ``cohesion`` is the mean agreement of its pairs (None for a model alone). ``stability`` is the
    mean, over resampled prompts, of the largest Jaccard overlap with a group found there: under .6
    it should not be believed, above .85 it is stable (Hennig 2007); None without resamples.
    """

    members: tuple[str, ...]
    cohesion: float | None
    stability: float | None


@dataclass(frozen=True, eq=False)
class ConvergentGroups:
    """Groups of models by average linkage on 1 - agreement.

    Attributes
    ----------
    groups
        Largest first, then by name.
    order
        The models as they lie under the dendrogram: rows and columns of a heat map.
    linkage
        scipy's linkage matrix, shape (M - 1, 4).
    together
        Share of resamples in which two models share a group, shape (M, M), models in the order
        given; None without resamples.
    cutoff
        Average agreement at which groups still merge.
    """

    groups: tuple[ModelGroup, ...]
    order: tuple[str, ...]
    linkage: _Floats
    together: _Floats | None
    cutoff: float


def convergent_groups(
    agreement: ArrayLike,
    models: Sequence[str],
    *,
    cutoff: float,
    resamples: ArrayLike | None = None,
) -> ConvergentGroups:
    """Groups of models whose average agreement with each other is at least ``cutoff``.

    Parameters
    ----------
    agreement
        Shape (M, M), symmetric, at most 1: a score, an agreement, a similarity. The diagonal is
        not looked at.
    cutoff
        Two groups merge while the mean agreement between their models is at least this.
    resamples
        The same matrix from resampled prompts, shape (B, M, M); see `resampled_agreement`.

    References
    ----------
    Sokal and Michener 1958 (average linkage); Hennig 2007, "Cluster-wise assessment of cluster
    stability".
    """
    table = _checked(agreement, len(models))
    # Models in the order of their names, so that ties do not depend on the order given.
    by_name = sorted(range(len(models)), key=lambda m: models[m])
    linkage, labels, leaves = _cluster(table[np.ix_(by_name, by_name)], cutoff)
    sets = [
        frozenset(by_name[i] for i in np.flatnonzero(labels == label).tolist())
        for label in np.unique(labels)
    ]
    stability: list[float | None] = [None] * len(sets)
    together = None
    if resamples is not None:
        found = [
            _memberships(_checked(one, len(models)), by_name, cutoff)
            for one in np.asarray(resamples, dtype=np.float64)
        ]
        together = np.mean([np.equal.outer(one, one) for one in found], axis=0)
        stability = [float(np.mean([_jaccard(group, one) for one in found])) for group in sets]
    groups = [
        ModelGroup(tuple(sorted(models[m] for m in group)), _cohesion(table, group), stable)
        for group, stable in zip(sets, stability, strict=True)
    ]
    return ConvergentGroups(
        tuple(sorted(groups, key=lambda group: (-len(group.members), group.members))),
        tuple(models[by_name[leaf]] for leaf in leaves),
        linkage,
        together,
        cutoff,
    )


def resampled_agreement(
    by_prompt: ArrayLike,
    *,
    n_resamples: int = 200,
    seed: int = 0,
    families: Sequence[str] | None = None,
) -> _Floats:
    """Mean agreement over prompts drawn with replacement, shape (n_resamples, M, M).

    Parameters
    ----------
    by_prompt
        Agreement of every pair on every prompt, shape (P, M, M); nan where one is missing.
    families
        For each prompt its family: families are drawn, with all their prompts.
    """
    values = np.asarray(by_prompt, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] != values.shape[2] or not len(values):
        raise ValueError(f"by_prompt has shape {values.shape}, not (P, M, M)")
    member = np.arange(len(values))
    if families is not None:
        if len(families) != len(values):
            raise ValueError(f"{len(values)} prompts but {len(families)} families")
        member = np.unique(list(families), return_inverse=True)[1]
    units = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=n_resamples)
    weights = drawn[:, member].astype(np.float64)
    flat = values.reshape(len(values), -1)
    present = (~np.isnan(flat)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ np.nan_to_num(flat)) / (weights @ present)
    # A pair that no drawn prompt has keeps what all prompts say about it.
    with np.errstate(invalid="ignore"):
        overall = np.nan_to_num(flat).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    means = np.where(np.isnan(means), overall, means)
    resampled: _Floats = means.reshape(n_resamples, *values.shape[1:])
    return resampled


def _checked(agreement: ArrayLike, models: int) -> _Floats:
    table = np.asarray(agreement, dtype=np.float64)
    if table.shape != (models, models) or models < 2:
        raise ValueError(f"agreement has shape {table.shape} for {models} models")
    apart = table[~np.eye(models, dtype=np.bool_)]
    if np.isnan(apart).any():
        raise ValueError("agreement is undefined for a pair of models; leave one of them out")
    if not np.allclose(table, table.T, equal_nan=True):
        raise ValueError("agreement is not symmetric")
    return table


def _cluster(table: _Floats, cutoff: float) -> tuple[_Floats, NDArray[np.int32], list[int]]:
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage

    upper = table[np.triu_indices(len(table), k=1)]
    tree = linkage(1.0 - upper, method="average")
    # Rounding must not part models that agree exactly as much as the cut-off asks.
    labels = fcluster(tree, 1.0 - cutoff + 1e-12, criterion="distance")
    return tree, labels, leaves_list(tree).tolist()


def _memberships(table: _Floats, by_name: list[int], cutoff: float) -> NDArray[np.int32]:
    _, labels, _ = _cluster(table[np.ix_(by_name, by_name)], cutoff)
    restored = np.empty_like(labels)
    restored[by_name] = labels
    return restored


def _jaccard(group: frozenset[int], labels: NDArray[np.int32]) -> float:
    inside = np.zeros(len(labels), dtype=np.bool_)
    inside[list(group)] = True
    return max(
        float((inside & (labels == label)).sum() / (inside | (labels == label)).sum())
        for label in np.unique(labels[inside])
    )


def _cohesion(table: _Floats, group: frozenset[int]) -> float | None:
    members = sorted(group)
    if len(members) < 2:
        return None
    block = table[np.ix_(members, members)]
    return float(block[np.triu_indices(len(members), k=1)].mean())
