"""How much drawing responses anew makes a panel's score and similarity vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import family_starts

# Features of responses by model and prompt: blocks[m][p] has shape (n, d).
Blocks: TypeAlias = Sequence[Sequence[Floats]] | Floats


@dataclass(frozen=True, eq=False)
class Slopes:
    """What the gradients of similarity, floor and ceiling by each cell's mean vector are made of.

    The values are weighted means over pairs of models. ``weights``, shape (M, M), symmetric with
    a zero diagonal, are those of the pairs; those of all pairs (a, b) with a < b add to 1.

    Attributes
    ----------
    means
        Mean feature vector of each cell, shape (M, P, d), and ``present`` where there is one.
    elsewhere
        Sum of the model's mean vectors over the prompts of other families, shape (M, P, d).
    shared, partners
        Prompts that two models share, and ordered pairs of their prompts of different families,
        shape (M, M).
    roots
        Root of each model's mean within, shape (M,), or None where it is not known.
    replicated
        How many prompts each model's within rests on, and on which, shape (M, P).
    """

    means: Floats
    present: Floats
    elsewhere: Floats
    shared: Floats
    partners: Floats
    roots: Floats | None
    replicated: NDArray[np.bool_]

    @classmethod
    def of(cls, summaries: Summaries) -> Slopes:
        """From sums whose prompts are sorted by family."""
        counts = summaries.counts
        present = (counts > 0).astype(np.float64)
        means = summaries.sums / np.maximum(counts, 1)[:, :, None]
        starts = family_starts(summaries.families)
        sizes = np.diff(np.append(starts, means.shape[1]))
        by_family = np.repeat(np.add.reduceat(means, starts, axis=1), sizes, axis=1)
        members = np.add.reduceat(present, starts, axis=1)
        totals = present.sum(axis=1)
        return cls(
            means,
            present,
            means.sum(axis=1, keepdims=True) - by_family,
            present @ present.T,
            np.outer(totals, totals) - members @ members.T,
            _roots(summaries, means),
            counts > 1,
        )

    def similarity(self, weights: Floats) -> Floats:
        """Gradient of the similarity, shape (M, P, d)."""
        return self._joined(_per(weights, self.shared), self.means)

    def floor(self, weights: Floats) -> Floats:
        """Gradient of the floor, shape (M, P, d)."""
        return self._joined(_per(weights, self.partners), self.elsewhere)

    def ceiling(self, weights: Floats) -> Floats:
        """Gradient of the ceiling, shape (M, P, d); zero where it is known to be 1."""
        if self.roots is None:
            return np.zeros_like(self.means)
        # The weighted mean over pairs of the root of W_a W_b, by W_a.
        slopes = (weights @ self.roots) / (2.0 * self.roots)
        steps = np.where(self.replicated, (slopes / self.replicated.sum(axis=1))[:, None], 0.0)
        return np.asarray(2.0 * self.means * steps[:, :, None])

    def score(self, weights: Floats, *, score: float, room: float) -> Floats:
        """Gradient of the score at this score and ceiling less floor, shape (M, P, d)."""
        over = self.similarity(weights) - (1.0 - score) * self.floor(weights)
        return np.asarray((over - score * self.ceiling(weights)) / room)

    def _joined(self, weights: Floats, vectors: Floats) -> Floats:
        return np.asarray(np.tensordot(weights, vectors, axes=(1, 0)) * self.present[:, :, None])


def _per(weights: Floats, counts: Floats) -> Floats:
    return np.divide(weights, counts, out=np.zeros_like(counts), where=counts > 0)


def _roots(summaries: Summaries, means: Floats) -> Floats | None:
    counts = summaries.counts
    replicated = counts > 1
    known = replicated.sum(axis=1)
    if not known.all():
        return None
    safe = np.where(replicated, counts, 2)
    norms = np.einsum("mpd,mpd->mp", means, means)
    within = np.where(replicated, (safe * norms - summaries.squares / safe) / (safe - 1), 0.0)
    return np.asarray(np.sqrt(np.maximum(within.sum(axis=1) / known, 1e-12)))


@dataclass(frozen=True, eq=False)
class Spread:
    """The responses of a panel, stacked by how many there are in a cell."""

    counts: NDArray[np.int64]
    stacks: Sequence[tuple[NDArray[np.intp], NDArray[np.intp], Floats]]

    @classmethod
    def of(cls, blocks: Blocks) -> Spread:
        """From the features of the responses, ``blocks[m][p]`` of shape (n, d)."""
        counts = np.array([[len(block) for block in row] for row in blocks])
        stacks = []
        for size in np.unique(counts[counts > 1]):
            rows, columns = np.nonzero(counts == size)
            pairs = zip(rows, columns, strict=True)
            stacks.append((rows, columns, np.stack([blocks[int(m)][int(p)] for m, p in pairs])))
        return cls(counts, stacks)

    def variance(self, gradient: Floats) -> tuple[Floats, Floats]:
        """Variance that drawing responses lends to a value, and its degrees of freedom, by cell.

        Parameters
        ----------
        gradient
            Of the value by each cell's mean, (M, P, d). The mean of the gradients at two
            recordings: one at the very responses whose noise is asked for would count that noise
            twice where it matters most, near unanimity.

        Returns
        -------
        variance, freedom
            ``var(g . x) / n``, the delta method, shape (M, P). One response is given the mean
            spread of its model's other cells; a cell without any lends none.
        """
        result = np.zeros(self.counts.shape)
        for rows, columns, stacked in self.stacks:
            values = np.einsum("cnd,cd->cn", stacked, gradient[rows, columns])
            result[rows, columns] = values.var(axis=1, ddof=1) / stacked.shape[1]
        for row, known in enumerate(self.counts > 1):
            spread = result[row, known] * self.counts[row, known]
            result[row, self.counts[row] == 1] = spread.mean() if known.any() else 0.0
        return result, np.maximum(self.counts - 1.0, 1.0)
