"""Where agreement comes from: the model apart, the prompts that divide, the weight of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutlierModel:
    """The model that agrees least with the others.

    Attributes
    ----------
    model
        Its name; the first by name where several are equal.
    to_others
        Its mean agreement with the others.
    gap
        How far the next model's is above that; 0 says that no model stands apart.
    stability
        Share of resampled prompts in which it is the same model; None without resamples.
    """

    model: str
    to_others: float
    gap: float
    stability: float | None


def outlier_model(
    agreement: ArrayLike, models: Sequence[str], *, resamples: ArrayLike | None = None
) -> OutlierModel:
    """The model that agrees least with the others, by how much, and how surely.

    Parameters
    ----------
    agreement
        Shape (M, M), symmetric, M at least 3; the diagonal is not looked at. nan pairs are left
        out of their models' means.
    resamples
        The same from resampled prompts, shape (B, M, M): `stats.clusters.resampled_agreement`.
    """
    table = np.asarray(agreement, dtype=np.float64)
    if len(models) < 3 or table.shape != (len(models), len(models)):
        raise ValueError(f"agreement of shape {table.shape} for {len(models)} models; 3 are needed")
    by_name = sorted(range(len(models)), key=lambda m: models[m])
    means = _to_others(table)[by_name]
    lowest = int(np.nanargmin(means))
    stability = None
    if resamples is not None:
        found = _to_others(np.asarray(resamples, dtype=np.float64))[:, by_name]
        stability = float(np.mean(np.nanargmin(found, axis=1) == lowest))
    ordered = np.sort(means[~np.isnan(means)])
    return OutlierModel(
        models[by_name[lowest]],
        float(means[lowest]),
        float(ordered[1] - ordered[0]) if len(ordered) > 1 else 0.0,
        stability,
    )


def _to_others(tables: _Floats) -> _Floats:
    """Mean over the other models, along the last axis; nan where a model has no pair."""
    apart = ~np.eye(tables.shape[-1], dtype=np.bool_) & ~np.isnan(tables)
    counts = apart.sum(axis=-1)
    totals = np.where(apart, tables, 0.0).sum(axis=-1)
    means: _Floats = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    return means


@dataclass(frozen=True, slots=True)
class DividingPrompt:
    """How much one prompt has to do with a panel's disagreement.

    ``agreement`` is the mean over its pairs of models, ``share`` its part of all disagreement
    (1 - agreement, summed over prompts), ``model`` the one furthest from the others on it; None
    where they are all equally far.
    """

    prompt: str
    agreement: float
    share: float
    model: str | None


def dividing_prompts(
    by_prompt: ArrayLike, prompts: Sequence[str], models: Sequence[str]
) -> tuple[DividingPrompt, ...]:
    """Prompts by how much they drive divergence, the worst first.

    Parameters
    ----------
    by_prompt
        Agreement of every pair on every prompt, shape (P, M, M); nan where a model is missing.
        Prompts without any pair are left out.
    """
    tables = np.asarray(by_prompt, dtype=np.float64)
    if tables.shape != (len(prompts), len(models), len(models)):
        raise ValueError(
            f"by_prompt has shape {tables.shape} for {len(prompts)} prompts, {len(models)} models"
        )
    upper = np.triu_indices(len(models), k=1)
    pairs = tables[:, upper[0], upper[1]]
    usable = np.flatnonzero((~np.isnan(pairs)).any(axis=1)).tolist()
    means = {p: float(np.nanmean(pairs[p])) for p in usable}
    disagreement = sum(1 - mean for mean in means.values())
    found = [
        DividingPrompt(
            prompts[p],
            mean,
            (1 - mean) / disagreement if disagreement > 0 else 0.0,
            _furthest(tables[p], models),
        )
        for p, mean in means.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.agreement, one.prompt)))


def _furthest(table: _Floats, models: Sequence[str]) -> str | None:
    means = _to_others(table)
    present = means[~np.isnan(means)]
    if len(present) < 3 or np.ptp(present) < 1e-12:
        return None
    return min(models[m] for m in np.flatnonzero(means <= np.nanmin(means) + 1e-12).tolist())


def leverage(values: ArrayLike, statistic: Callable[[_Floats], Any] | None = None) -> _Floats:
    """How far a figure over prompts moves without each prompt: all prompts minus all but one.

    Parameters
    ----------
    values
        Shape (P, ...), one row a prompt; at least two.
    statistic
        From rows to a number or array; the mean over rows by default, which is worked out for all
        prompts at once.

    Returns
    -------
    ndarray
        Shape (P, ...). Positive where the prompt raises the figure.
    """
    rows = np.asarray(values, dtype=np.float64)
    if len(rows) < 2:
        raise ValueError("leverage needs at least two prompts")
    if statistic is None:
        mean: _Floats = (rows - rows.mean(axis=0)) / (len(rows) - 1)
        return mean
    whole = np.asarray(statistic(rows), dtype=np.float64)
    return np.stack([whole - statistic(np.delete(rows, p, axis=0)) for p in range(len(rows))])
