"""Krippendorff's alpha: any number of raters, missing labels, four levels of measurement."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.agreement import Agreement, corrected_agreement
from pytest_convergence.metrics.tables import Labels, LabelTable, label_table

Level: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio"]


def krippendorff_alpha(
    labels: Labels, *, level: Level = "nominal", categories: Sequence[Hashable] | None = None
) -> Agreement:
    """Krippendorff's alpha, ``1 - observed disagreement/expected disagreement``.

    Parameters
    ----------
    labels
        Shape (raters, items); None and nan are missing. An item with fewer than two labels says
        nothing and is left out.
    level
        What difference between labels means: ``nominal`` 0 or 1; ``ordinal`` the labels that lie
        between them; ``interval`` ``(v - w)^2``; ``ratio`` ``((v - w)/(v + w))^2``.
    categories
        Their order, for ordinal labels that do not sort that way. Interval and ratio need numbers.

    Returns
    -------
    Agreement
        ``observed`` and ``expected`` are 1 minus the disagreement as a share of the largest
        possible between the labels given, so that ``corrected`` is alpha.

    References
    ----------
    Krippendorff 2011, "Computing Krippendorff's alpha-reliability". Equal to the package
    ``krippendorff`` wherever that does not raise.
    """
    table = label_table(labels, categories=categories)
    counts = table.counts[table.counts.sum(axis=1) >= 2]
    if not len(counts):
        raise ValueError("no item has labels from two raters")
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = counts.sum(axis=0)
    chance = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    distance = _distances(table, totals, level)
    largest = distance[np.ix_(totals > 0, totals > 0)].max()
    total = totals.sum() * (largest if largest > 0 else 1.0)
    observed = 1.0 - float((coincidences * distance).sum() / total)
    expected = 1.0 - float((chance * distance).sum() / total)
    prevalence = zip(table.categories, (totals / totals.sum()).tolist(), strict=True)
    return corrected_agreement(
        f"krippendorff_{level}",
        observed,
        expected,
        items=len(counts),
        raters=len(table.codes),
        prevalence=tuple(prevalence),
    )


def _distances(table: LabelTable, totals: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    size = len(table.categories)
    distance: NDArray[np.float64]
    if level == "nominal":
        distance = 1.0 - np.eye(size)
    elif level == "ordinal":
        # Labels up to and including w, less half of those at either end (Krippendorff 2011).
        middle = np.cumsum(totals) - totals / 2
        distance = np.subtract.outer(middle, middle) ** 2
    elif level in ("interval", "ratio"):
        distance = _numeric_distances(table.categories, level)
    else:
        raise ValueError(f"level {level!r} is not one of nominal, ordinal, interval, ratio")
    return distance


def _numeric_distances(categories: Sequence[Any], level: Level) -> NDArray[np.float64]:
    try:
        values = np.array([float(value) for value in categories])
    except (TypeError, ValueError):
        raise ValueError(f"level {level!r} needs numbers, not {tuple(categories)!r}") from None
    difference = np.subtract.outer(values, values)
    if level == "interval":
        interval: NDArray[np.float64] = difference**2
        return interval
    total = np.add.outer(values, values)
    ratio = np.divide(difference, total, out=np.zeros_like(difference), where=total != 0)
    squared: NDArray[np.float64] = ratio**2
    return squared
