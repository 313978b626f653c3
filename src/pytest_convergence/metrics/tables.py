"""Tables of labels, one row a rater (a model, a judge), one column an item (a prompt)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = Sequence[Sequence[Any] | NDArray[Any]] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels as integers.

    ``codes`` has shape (raters, items) and indexes ``categories``; -1 is missing.
    """

    codes: NDArray[np.int64]
    categories: tuple[Hashable, ...]

    @property
    def counts(self) -> NDArray[np.float64]:
        """How many raters gave each category to each item, shape (items, categories)."""
        counts: NDArray[np.float64] = self.one_hot.sum(axis=0)
        return counts

    @property
    def one_hot(self) -> NDArray[np.float64]:
        """Indicators, shape (raters, items, categories); all zero where missing."""
        indicators: NDArray[np.float64] = np.equal(
            self.codes[..., None], np.arange(len(self.categories))
        ).astype(np.float64)
        return indicators


def is_missing(label: Any) -> bool:
    """None and nan are missing labels."""
    return label is None or (isinstance(label, float | np.floating) and bool(np.isnan(label)))


def label_table(labels: Labels, *, categories: Sequence[Hashable] | None = None) -> LabelTable:
    """Code a table of labels.

    Parameters
    ----------
    labels
        Shape (raters, items). Any hashable values; None and nan are missing.
    categories
        All labels that could have been given, in order; the sorted ones that were, by default.

    Raises
    ------
    ValueError
        Where rows differ in length, or a label is not among the declared categories.
    """
    rows = [[_plain(label) for label in row] for row in labels]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"raters have different numbers of items: {[len(row) for row in rows]}")
    given = {label for row in rows for label in row if not is_missing(label)}
    names = _ordered(given) if categories is None else tuple(categories)
    undeclared = given - set(names)
    if undeclared:
        raise ValueError(f"labels {_ordered(undeclared)!r} are not among the categories {names!r}")
    index: dict[Any, int] = {name: position for position, name in enumerate(names)}
    codes = [[-1 if is_missing(label) else index[label] for label in row] for row in rows]
    return LabelTable(np.array(codes, dtype=np.int64).reshape(len(rows), -1), names)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _ordered(labels: Iterable[Any]) -> tuple[Any, ...]:
    """Numbers by value, everything else by its text, so that the order is always the same."""
    return tuple(
        sorted(labels, key=lambda x: (0, x, "") if isinstance(x, int | float) else (1, 0, str(x)))
    )
