"""Agreement of several raters on nominal labels: raw, and corrected for chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_convergence.metrics.tables import Labels, LabelTable, label_table

# Chance agreement this close to 1 leaves nothing to correct: (1 - 1)/(1 - 1) up to rounding.
_NO_ROOM = 1e-12


@dataclass(frozen=True, slots=True)
class Agreement:
    """Raw agreement, agreement by chance, and the coefficient made of the two.

    Attributes
    ----------
    coefficient
        Its name: ``"cohen"``, ``"fleiss"``, ...
    observed
        Agreement as it is, in [0, 1].
    expected
        Agreement by chance, as this coefficient defines chance.
    corrected
        ``(observed - expected)/(1 - expected)``, at most 1; None exactly where ``undefined`` says
        why. It is undefined where chance alone gives agreement 1: everyone always said one thing.
    items, raters
        Items with at least two labels, and rows of the table.
    prevalence
        Share of each category among the labels of those items.
    accuracies
        Of each rater, where the truth is known: two models can agree and be wrong.
    """

    coefficient: str
    observed: float
    expected: float
    corrected: float | None
    undefined: str | None
    items: int
    raters: int
    prevalence: tuple[tuple[Hashable, float], ...] = ()
    accuracies: tuple[float, ...] = ()

    @property
    def unanimous(self) -> bool:
        """Whether no two labels of one item differ: agreement 1, whatever chance would give."""
        return self.observed == 1.0

    def reaches(self, threshold: float) -> bool:
        """Whether the coefficient is at least ``threshold``; unanimity reaches every threshold."""
        return self.unanimous or (self.corrected is not None and self.corrected >= threshold)

    def __str__(self) -> str:
        observed = "1.0" if self.unanimous else f"{self.observed:.4f}"
        corrected = "undefined" if self.corrected is None else f"{self.corrected:.4f}"
        return f"agreement {observed}, chance-corrected {corrected}"


def corrected_agreement(
    coefficient: str,
    observed: float,
    expected: float,
    *,
    undefined_because: str = "every label is the same, so chance alone gives agreement 1",
    **fields: Any,
) -> Agreement:
    """An `Agreement` with its coefficient worked out, or the reason why it has none."""
    corrected = undefined = None
    if 1.0 - expected < _NO_ROOM:
        undefined = undefined_because
    elif observed == 1.0:
        corrected = 1.0
    else:
        corrected = (observed - expected) / (1.0 - expected)
    return Agreement(coefficient, observed, expected, corrected, undefined, **fields)


def prevalence(
    labels: Labels, *, categories: Sequence[Hashable] | None = None
) -> dict[Hashable, float]:
    """Share of each category among all labels given; they sum to 1."""
    table = label_table(labels, categories=categories)
    totals = table.counts.sum(axis=0)
    if not totals.sum():
        raise ValueError("there are no labels")
    return dict(zip(table.categories, (totals / totals.sum()).tolist(), strict=True))


def raw_agreement(labels: Labels) -> float:
    """Mean over items of the share of pairs of raters that agree, in [0, 1].

    Items with fewer than two labels are left out; a missing label belongs to no pair.
    """
    return _observed(_pairable(label_table(labels).counts))


def cohen_kappa(
    first: Sequence[Any] | NDArray[Any],
    second: Sequence[Any] | NDArray[Any],
    *,
    categories: Sequence[Hashable] | None = None,
    weights: Literal["linear", "quadratic"] | None = None,
) -> Agreement:
    """Cohen's kappa of two raters, each with its own margins, on the items both labelled.

    Parameters
    ----------
    categories
        In their order; needed where weights are given and the labels do not sort that way.
    weights
        Give partial credit by distance in that order: ``1 - |i - j|/(K - 1)``, or its square.
        ``observed`` and ``expected`` are then weighted agreement.

    References
    ----------
    Cohen 1960, 1968. Equal to ``sklearn.metrics.cohen_kappa_score`` where that is not nan.
    """
    table = label_table([first, second], categories=categories)
    both = (table.codes >= 0).all(axis=0)
    if not both.any():
        raise ValueError("no item was labelled by both raters")
    size = len(table.categories)
    joint = np.zeros((size, size))
    np.add.at(joint, tuple(table.codes[:, both]), 1.0)
    items = joint.sum()
    credit = _credit(size, weights)
    chance = np.outer(joint.sum(axis=1) / items, joint.sum(axis=0) / items)
    return corrected_agreement(
        "cohen",
        _share((credit * joint).sum() / items),
        _share((credit * chance).sum()),
        items=int(items),
        raters=2,
        prevalence=_named(table, (joint.sum(axis=0) + joint.sum(axis=1)) / (2 * items)),
    )


def _credit(size: int, weights: Literal["linear", "quadratic"] | None) -> NDArray[np.float64]:
    if weights is None or size == 1:
        return np.eye(size)
    if weights not in ("linear", "quadratic"):
        raise ValueError(f"weights {weights!r} is not one of None, 'linear', 'quadratic'")
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / (size - 1)
    credit: NDArray[np.float64] = 1.0 - (distance if weights == "linear" else distance**2)
    return credit


def conger_kappa(labels: Labels, *, categories: Sequence[Hashable] | None = None) -> Agreement:
    """Conger's kappa: Cohen's for any number of raters, each with its own margins.

    Models are not exchangeable raters, so this, not Fleiss' kappa, is the one for a panel. Chance
    is the mean over pairs of raters of ``sum_k p_ak p_bk``. With missing labels a rater's margins
    are over the items it labelled (Gwet's treatment).

    References
    ----------
    Conger 1980; Gwet 2014, *Handbook of Inter-Rater Reliability*, ch. 2. Two raters without
    missing labels give Cohen's kappa.
    """
    table = label_table(labels, categories=categories)
    given = table.one_hot.sum(axis=1)
    labelled = given.sum(axis=1)
    margins = given[labelled > 0] / labelled[labelled > 0, None]
    raters = len(margins)
    counts = _pairable(table.counts)
    total = margins.sum(axis=0)
    expected = (total @ total - (margins**2).sum()) / (raters * (raters - 1))
    return corrected_agreement("conger", _observed(counts), _share(expected), **_about(table))


def fleiss_kappa(labels: Labels, *, categories: Sequence[Hashable] | None = None) -> Agreement:
    """Fleiss' kappa: chance is ``sum_k p_k^2`` with the raters' margins pooled.

    With missing labels as Gwet 2014: ``p_k`` is the mean over items of the share of their labels.

    References
    ----------
    Fleiss 1971. Equal to ``statsmodels.stats.inter_rater.fleiss_kappa`` where no label is missing.
    """
    table = label_table(labels, categories=categories)
    return _pooled("fleiss", table.counts, _about(table))


def fleiss_kappa_from_counts(counts: ArrayLike) -> Agreement:
    """Fleiss' kappa of a table of counts, shape (items, categories)."""
    table = np.asarray(counts, dtype=np.float64)
    pairable = _pairable(table)
    shares = pairable.sum(axis=0) / pairable.sum()
    about = {
        "items": len(pairable),
        "raters": int(table.sum(axis=1).max()),
        "prevalence": tuple(enumerate(shares.tolist())),
    }
    return _pooled("fleiss", table, about)


def _pooled(coefficient: str, counts: NDArray[np.float64], about: dict[str, Any]) -> Agreement:
    shares = _item_shares(counts)
    return corrected_agreement(
        coefficient, _observed(_pairable(counts)), _share(shares @ shares), **about
    )


def gwet_ac1(labels: Labels, *, categories: Sequence[Hashable] | None = None) -> Agreement:
    """Gwet's AC1: chance is ``sum_k p_k (1 - p_k)/(K - 1)``, small where one label prevails.

    Where one label is given 99 times in 100, kappa falls to about 0 with raw agreement above .98
    and AC1 does not. Declare ``categories``: K is the number of labels that could have been
    given, and with them unanimity has a value, 1.

    References
    ----------
    Gwet 2008, "Computing inter-rater reliability and its variance in the presence of high
    agreement"; missing labels as Gwet 2014.
    """
    table = label_table(labels, categories=categories)
    observed = _observed(_pairable(table.counts))
    shares = _item_shares(table.counts)
    size = len(table.categories)
    expected = 1.0 if size == 1 else _share((shares * (1 - shares)).sum() / (size - 1))
    return corrected_agreement("gwet_ac1", observed, expected, **_about(table))


@dataclass(frozen=True, eq=False)
class PairwiseAgreement:
    """Cohen's kappa for each pair of raters; every array has shape (raters, raters).

    ``observed`` and ``expected`` are nan where two raters share no item, ``corrected`` also where
    it is undefined (`Agreement.undefined`); there ``observed`` is 1. ``items`` counts shared ones.
    """

    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    corrected: NDArray[np.float64]
    items: NDArray[np.int64]


def pairwise_agreement(labels: Labels) -> PairwiseAgreement:
    """Raw agreement, chance and Cohen's kappa of every pair of raters at once."""
    table = label_table(labels)
    given = table.one_hot
    valid = np.greater_equal(table.codes, 0).astype(np.float64)
    shared: NDArray[np.float64] = valid @ valid.T
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.einsum("apk,bpk->ab", given, given, optimize=True) / shared
        margins = np.einsum("apk,bp->abk", given, valid, optimize=True) / shared[..., None]
        expected = np.einsum("abk,bak->ab", margins, margins)
        room = 1.0 - expected
        corrected = np.where(room < _NO_ROOM, np.nan, (observed - expected) / room)
    return PairwiseAgreement(observed, expected, corrected, shared.astype(np.int64))


def _pairable(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    kept: NDArray[np.float64] = counts[counts.sum(axis=1) >= 2]
    if not len(kept):
        raise ValueError("no item has labels from two raters")
    return kept


def _observed(counts: NDArray[np.float64]) -> float:
    raters = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1)
    return float(np.mean(agreeing / (raters * (raters - 1))))


def _item_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over labelled items of the share of each category among the item's labels."""
    labelled = counts[counts.sum(axis=1) > 0]
    shares: NDArray[np.float64] = np.mean(labelled / labelled.sum(axis=1, keepdims=True), axis=0)
    return shares


def _share(value: Any) -> float:
    """A sum of probabilities without the rounding error that puts it outside [0, 1]."""
    return float(min(max(value, 0.0), 1.0))


def _named(table: LabelTable, shares: NDArray[np.float64]) -> tuple[tuple[Hashable, float], ...]:
    return tuple(zip(table.categories, shares.tolist(), strict=True))


def _about(table: LabelTable) -> dict[str, Any]:
    counts = _pairable(table.counts)
    return {
        "items": len(counts),
        "raters": len(table.codes),
        "prevalence": _named(table, counts.sum(axis=0) / counts.sum()),
    }
