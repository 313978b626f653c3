"""Sufficient statistics: all that a score needs to know of a panel's responses.

Every similarity of this package is the mean of a kernel ``k(x, y) = <f(x), f(y)>`` over pairs of
responses. The sums kept here are enough for it, never ``O(n^2 d)``, and merge by addition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

# Enough to be quick, and of no weight beside the sums.
_CELLS_AT_A_TIME = 512

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Summaries(Struct, frozen=True, eq=False):
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
    duplicates
        Prompts already collapsed into another one that asks the same.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    families: tuple[str, ...]
    counts: Ints
    sums: Floats
    squares: Floats
    duplicates: int = 0

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
        sums = np.zeros((*shape, width))
        squares = np.zeros(shape)
        blocks = [block for row in features for block in row]
        counts = np.array([len(block) for block in blocks], dtype=np.int64).reshape(shape)
        filled = np.flatnonzero(counts)
        for start in range(0, len(filled), _CELLS_AT_A_TIME):
            cells = filled[start : start + _CELLS_AT_A_TIME]
            # Cast at once: cast while they are joined, small blocks take twice as long.
            responses = np.concatenate([blocks[cell] for cell in cells]).astype(np.float64)
            sizes = counts.ravel()[cells]
            firsts = np.cumsum(sizes) - sizes
            norms = np.einsum("nd,nd->n", responses, responses)
            if len(firsts) < len(responses):
                responses = np.add.reduceat(responses, firsts, axis=0)
                norms = np.add.reduceat(norms, firsts)
            sums.reshape(-1, width)[cells] = responses
            squares.ravel()[cells] = norms
        return cls(tuple(models), tuple(prompts), tuple(families or prompts), counts, sums, squares)

    def collapsed(self, asked: Sequence[str]) -> Summaries:
        """Prompts that ask the same become one.

        Parameters
        ----------
        asked
            For each prompt what it asks, its text or a hash of its request.

        Notes
        -----
        Responses replayed for both, recognised by equal sums in every model, are counted once;
        others are different samples of one prompt and are pooled. The first prompt's name and
        family stand.
        """
        first: dict[str, int] = {}
        counts, sums, squares = self.counts.copy(), self.sums.copy(), self.squares.copy()
        for p, text in enumerate(asked):
            kept = first.setdefault(text, p)
            if kept != p and not self._equal(p, kept):
                counts[:, kept] += self.counts[:, p]
                sums[:, kept] += self.sums[:, p]
                squares[:, kept] += self.squares[:, p]
        chosen = list(first.values())
        return Summaries(
            self.models,
            tuple(self.prompts[p] for p in chosen),
            tuple(self.families[p] for p in chosen),
            counts[:, chosen],
            sums[:, chosen],
            squares[:, chosen],
            self.duplicates + len(asked) - len(chosen),
        )

    def _equal(self, one: int, other: int) -> bool:
        return all(
            np.array_equal(array[:, one], array[:, other])
            for array in (self.counts, self.sums, self.squares)
        )

    def merged(self, other: Summaries) -> Summaries:
        """The sums of both parts: of other prompts, other models, or other samples.

        The result's models and prompts are sorted by name, so that parts may arrive in any order.
        Floating-point sums of three or more parts of one cell still depend on the order in which
        they are merged: merge them in a fixed one.

        Raises
        ------
        ValueError
            Where the features differ in width or a prompt is in two families.
        """
        if self.sums.shape[2] != other.sums.shape[2]:
            raise ValueError(
                f"features of widths {self.sums.shape[2]} and {other.sums.shape[2]} cannot merge"
            )
        family = dict(zip(self.prompts, self.families, strict=True))
        for prompt, name in zip(other.prompts, other.families, strict=True):
            if family.setdefault(prompt, name) != name:
                raise ValueError(f"prompt {prompt!r} is in families {family[prompt]!r}, {name!r}")
        models, prompts = sorted({*self.models, *other.models}), sorted(family)
        row = {name: index for index, name in enumerate(models)}
        column = {name: index for index, name in enumerate(prompts)}
        shape = (len(models), len(prompts))
        counts = np.zeros(shape, dtype=np.int64)
        sums, squares = np.zeros((*shape, self.sums.shape[2])), np.zeros(shape)
        for part in (self, other):
            grid = np.ix_(
                [row[name] for name in part.models], [column[name] for name in part.prompts]
            )
            counts[grid] += part.counts
            sums[grid] += part.sums
            squares[grid] += part.squares
        return Summaries(
            tuple(models),
            tuple(prompts),
            tuple(family[name] for name in prompts),
            counts,
            sums,
            squares,
            self.duplicates + other.duplicates,
        )
