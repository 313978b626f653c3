"""Which models of a panel go together, and which stands apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Where no threshold says how alike is alike enough.
_CUTOFF = 0.8


def model_families(group: Mapping[str, Any]) -> dict[str, Any] | None:
    """Average linkage over a group's pairs, by score where there is one, else by similarity.

    Returns
    -------
    dict
        ``measure``; ``order``, the models as positions in ``present`` under the dendrogram;
        ``merges``, for each merge of the dendrogram the two nodes joined (below M a model's place
        in ``leaves``, from M on an earlier merge) and their mean agreement; ``cutoff``; and the
        ``outlier``. None where fewer than two models were compared, or a pair has no figure.
    """
    from pytest_convergence.metrics.structure import outlier_model
    from pytest_convergence.stats.clusters import convergent_groups

    models: Sequence[str] = group.get("present", ())
    for measure in ("score", "similarity"):
        table = _table(group, measure)
        if len(models) < 2 or table is None:
            continue
        cutoff = _cutoff(group, measure)
        found = convergent_groups(table, models, cutoff=cutoff)
        outlier = outlier_model(table, models) if len(models) > 2 else None
        return {
            "measure": measure,
            "cutoff": cutoff,
            "order": [models.index(name) for name in found.order],
            "leaves": [models.index(name) for name in sorted(models)],
            "merges": [[int(a), int(b), 1 - height] for a, b, height, _ in found.linkage.tolist()],
            "outlier": outlier
            and {
                "model": models.index(outlier.model),
                "to_others": outlier.to_others,
                "gap": outlier.gap,
            },
        }
    return None


def _table(group: Mapping[str, Any], measure: str) -> list[list[float]] | None:
    """The matrix of a measure with ones on its diagonal, or None where a pair has no figure.

    A score may pass 1 by chance; for a tree no two models are closer than a model to itself.
    """
    rows = group.get("pairs", {}).get(measure, ())
    apart = [[value for b, value in enumerate(row) if a != b] for a, row in enumerate(rows)]
    if not rows or any(value is None for row in apart for value in row):
        return None
    return [
        [1.0 if a == b else min(value, 1.0) for b, value in enumerate(row)]
        for a, row in enumerate(rows)
    ]


def _cutoff(group: Mapping[str, Any], measure: str) -> float:
    asserted = group["threshold"] is not None and group["direction"] == "converges"
    return float(group["threshold"]) if asserted and measure == "score" else _CUTOFF
