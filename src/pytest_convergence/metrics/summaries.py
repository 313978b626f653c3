"""Sufficient statistics: all that a score needs to know of a panel's responses.

Every similarity of this package is the mean of a kernel ``k(x, y) = <f(x), f(y)>`` over pairs of
responses. The sums kept here are enough for it, never ``O(n^2 d)``, and merge by addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Summaries:
    """A panel's responses to a set of prompts, summed.

    Attributes
    ----------
    models, prompts
        Names, in the order of the axes: M models, P prompts.
    families
        For each prompt the name of its family; a prompt without variants is its own.
    counts
        Usable responses, shape (M, P). Zero where a model has none: that prompt then leaves the
        pairs of that model.
    sums
        Sum of the feature vectors, shape (M, P, d).
    squares
        Sum of the squared norms of the feature vectors, shape (M, P); equals ``counts`` for unit
        vectors.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    families: tuple[str, ...]
    counts: Ints
    sums: Floats
    squares: Floats

    @classmethod
    def from_features(
        cls,
        features: Sequence[Sequence[NDArray[np.floating]]],
        *,
        models: Sequence[str],
        prompts: Sequence[str],
        families: Sequence[str] | None = None,
    ) -> Summaries:
        """Summaries of ``features[m][p]``, arrays of shape (n, d) whose n may differ or be 0."""
        shape = (len(models), len(prompts))
        width = max(block.shape[1] for row in features for block in row)
        counts = np.zeros(shape, dtype=np.int64)
        sums = np.zeros((*shape, width))
        squares = np.zeros(shape)
        for m, row in enumerate(features):
            for p, block in enumerate(row):
                if len(block):
                    counts[m, p] = len(block)
                    sums[m, p] = block.sum(axis=0, dtype=np.float64)
                    squares[m, p] = np.einsum("nd,nd->", block, block, dtype=np.float64)
        return cls(tuple(models), tuple(prompts), tuple(families or prompts), counts, sums, squares)
