"""A panel's pairs and their mean, each with every family of prompts left out in turn."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pytest_convergence.metrics.estimates import Interval
from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.metrics.terms import PairTerms, PairValues, pair_values, values_without
from pytest_convergence.stats.intervals import (
    METHOD,
    Agreement,
    Contributions,
    allow_for_unseen,
    deviations,
    ratio_bounds,
    standard_error,
)

# Families that leave two, and so a floor, when one is left out.
_SPARE_ONE = 3


class Jackknifed(Struct, frozen=True, eq=False):
    """Values, the same without each family, and the families' own agreement.

    For pairs ``values`` has shape (K,) and the rest (K, F); for the panel shapes () and (F,).
    ``agreement`` is each family's mean similarity in shares of ``top``, the largest similarity
    that two responses can have; ``least`` is the smallest.
    """

    values: PairValues
    without: PairValues
    counted: NDArray[np.bool_]
    agreement: Floats
    top: float
    least: float

    @property
    def families(self) -> Floats:
        """How many families count."""
        return np.asarray(self.counted.sum(axis=-1), dtype=np.float64)

    @property
    def room_error(self) -> Floats:
        """Standard error of ceiling - floor."""
        moves = deviations(self.values.room, self.without.room, self.counted)
        return standard_error(moves, self.families)

    def score_bounds(self, level: float) -> tuple[Floats, Floats]:
        """Bounds of the score. A score in the population is at most 1 (Cauchy-Schwarz)."""
        values, without = self.values, self.without
        excess = deviations(
            values.similarity - values.floor, without.similarity - without.floor, self.counted
        )
        parts = Contributions(
            values.similarity - values.floor,
            values.room,
            excess,
            deviations(values.room, without.room, self.counted),
            self.counted,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            lowest = (np.maximum(-values.ceiling, self.least) - values.floor) / values.room
        low, high = ratio_bounds(parts, level=level, lowest=lowest, highest=np.ones_like(lowest))
        low, high = allow_for_unseen(
            low,
            high,
            values.score,
            Agreement(
                self.agreement, self.counted, values.floor / self.top, values.ceiling / self.top
            ),
            level,
        )
        return np.fmax(low, lowest), np.fmax(np.fmin(high, 1.0), values.score)

    def similarity_bounds(self, level: float) -> tuple[Floats, Floats]:
        """Bounds of the similarity, within what two responses can have."""
        value = self.values.similarity
        one, zero = np.ones_like(value), np.zeros_like(value)
        moves = deviations(value, self.without.similarity, self.counted)
        parts = Contributions(value, one, moves, np.zeros_like(moves), self.counted)
        low, high = ratio_bounds(
            parts, level=level, lowest=self.least * one, highest=self.top * one
        )
        low, high = allow_for_unseen(
            low / self.top,
            high / self.top,
            value / self.top,
            Agreement(self.agreement, self.counted, zero, one),
            level,
        )
        return (
            np.clip(low * self.top, self.least, value),
            np.clip(high * self.top, value, np.maximum(self.top, value)),
        )


class PanelJackknife(Struct, frozen=True, eq=False):
    """The jackknife of all pairs, of the panel's means, and the panel without each prompt."""

    everywhere: PairValues
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    pairs: Jackknifed
    panel: Jackknifed
    without_prompt: PairValues


def jackknife_panel(
    terms: PairTerms, starts: NDArray[np.intp], *, replicated: bool
) -> PanelJackknife:
    """Jackknife the M x M pairs by family.

    Parameters
    ----------
    starts
        First position of each family; the prompts of ``terms`` are sorted by family.
    replicated
        False where models have one sample a prompt: ceilings are then ``terms.top``.
    """
    everywhere = pair_values(terms, replicated=replicated)
    families = terms.by_family(starts)
    shared = families.shared > 0
    rows, columns = np.nonzero(_usable(everywhere, shared))
    chosen = (rows, columns)
    without = values_without(families, rows, columns, replicated=replicated)
    pairs = Jackknifed(
        everywhere.chosen(rows, columns),
        without,
        shared[chosen],
        _share(families.between[chosen], families.shared[chosen], terms.top),
        terms.top,
        terms.least,
    )
    between, counts = families.between[chosen].sum(axis=0), families.shared[chosen].sum(axis=0)
    panel = Jackknifed(
        pairs.values.mean(),
        pairs.without.mean(),
        np.asarray(shared[chosen].any(axis=0)),
        _share(between, counts, terms.top),
        terms.top,
        terms.least,
    )
    prompts = panel.without
    if families is not terms:
        prompts = values_without(terms, rows, columns, replicated=replicated).mean()
    return PanelJackknife(everywhere, rows, columns, pairs, panel, prompts)


def _usable(values: PairValues, shared: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pairs of different models that can spare any family; failing that, that share a prompt.

    What makes a pair count is the prompts it shares and never its samples, or else similarity
    would change with their number.
    """
    pairs = np.triu(np.isfinite(values.similarity), k=1)
    sturdy = pairs & (shared.sum(axis=2) >= _SPARE_ONE)
    return sturdy if sturdy.any() else pairs


def _share(sums: Floats, counts: Floats, top: float) -> Floats:
    result: Floats = np.zeros_like(sums)
    np.divide(sums, counts * top, out=result, where=counts > 0)
    return result


def interval(bounds: tuple[Floats, Floats], level: float) -> Interval | None:
    """Scalar bounds as an interval, or None where there are none."""
    low, high = (float(bound) for bound in bounds)
    return Interval(low, high, level, METHOD) if np.isfinite(low + high) else None
