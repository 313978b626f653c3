"""An interval for Cohen's kappa whose unit is the prompt."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.stats.intervals import Contributions, deviations, ratio_bounds
from pytest_convergence.stats.rates import pass_rate

_Floats = NDArray[np.float64]

# With disagreement on fewer prompts than this its spread is not known: the agreement's own
# interval, which is, bounds kappa too.
_FEW_DISAGREEING = 8


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> Interval | None:
    """An interval for Cohen's kappa of two raters; None where kappa is not defined.

    Kappa is the ratio ``(p_o - p_e)/(1 - p_e)``. Prompts are left out in turn and the values that
    they do not contradict are kept, as for a score (`intervals.ratio_bounds`). Where the raters
    disagree on few prompts, it is widened to what the interval of the raw agreement (clustered by
    prompt, `rates.pass_rate`) says at the same margins.

    Parameters
    ----------
    first, second
        Labels of the same items by both raters, none missing.
    clusters
        For each item its prompt (or family): several responses to one are not independent.
    """
    tables = _tables(first, second, clusters)
    total = tables.sum(axis=0)
    excess, room = _parts(total)
    if room < 1e-12 or len(tables) < 2:
        return None
    sizes, agreed = tables.sum(axis=(1, 2)), np.trace(tables, axis1=1, axis2=2)
    disagreeing = int((agreed < sizes).sum())
    value = float(excess / room)
    low, high = _jackknifed(tables, excess, room, level) if disagreeing else (value, value)
    if disagreeing < _FEW_DISAGREEING:
        plain = pass_rate(agreed, sizes, level=level).interval
        low = min(low, (plain.low - 1 + float(room)) / float(room))
        high = max(high, (plain.high - 1 + float(room)) / float(room))
    method = "test inversion over prompts (Fieller, Hall, Clopper-Pearson)"
    return Interval(max(min(low, value), -1.0), min(max(high, value), 1.0), level, method)


def _jackknifed(
    tables: _Floats, excess: _Floats, room: _Floats, level: float
) -> tuple[float, float]:
    without = _parts(tables.sum(axis=0) - tables)
    counted = np.ones(len(tables), dtype=np.bool_)
    parts = Contributions(
        np.asarray(excess),
        np.asarray(room),
        deviations(np.asarray(excess), without[0], counted),
        deviations(np.asarray(room), without[1], counted),
        counted,
    )
    one = np.ones(())
    low, high = ratio_bounds(parts, level=level, lowest=-one, highest=one)
    return float(low), float(high)


def _tables(
    first: Sequence[Hashable], second: Sequence[Hashable], clusters: Sequence[Hashable]
) -> _Floats:
    """The joint counts of each cluster, shape (C, K, K)."""
    if not len(first) == len(second) == len(clusters):
        raise ValueError(f"{len(first)} and {len(second)} labels in {len(clusters)} clusters")
    names = {name: k for k, name in enumerate(sorted({*first, *second}, key=str))}
    order = {name: c for c, name in enumerate(dict.fromkeys(clusters))}
    tables = np.zeros((len(order), len(names), len(names)))
    for a, b, cluster in zip(first, second, clusters, strict=True):
        tables[order[cluster], names[a], names[b]] += 1
    return tables


def _parts(tables: _Floats) -> tuple[_Floats, _Floats]:
    """``p_o - p_e`` and ``1 - p_e`` of joint counts, shape (..., K, K) to (...)."""
    items = tables.sum(axis=(-2, -1))
    observed = np.trace(tables, axis1=-2, axis2=-1) / items
    chance = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / items**2
    return np.asarray(observed - chance), np.asarray(1.0 - chance)
