"""What each prompt contributes to the estimand, for every pair of models at once.

Each quantity of the estimand is a ratio of sums over prompts, so leaving prompts out is a
subtraction: the whole jackknife of a panel costs no more than the estimate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from pytest_convergence.metrics.summaries import Floats, Summaries

_PROMPTS_AT_A_TIME = 256
_PER_PROMPT = ("shared", "between", "cross", "partners", "within", "replicated")


class PairTerms(Struct, frozen=True, eq=False):
    """Contributions of P units (prompts or families) for the M x M pairs of models.

    Arrays have shape (M, M, P) and hold zero where a pair does not share the prompt. ``cross``
    is the sum of ``a_p . b_j`` over the ``partners`` prompts ``j`` of other families; it is the
    first model's row, so that ``cross[a, b]`` and ``cross[b, a]`` differ. ``within[a, b]`` is the
    within of model ``a`` on prompts shared with ``b``, and ``replicated`` counts the prompts on
    which it is known. ``top`` and ``least`` are the largest and the smallest similarity that two
    responses can have.
    """

    shared: Floats
    between: Floats
    cross: Floats
    partners: Floats
    within: Floats
    replicated: Floats
    top: float
    least: float

    def by_family(self, starts: NDArray[np.intp]) -> PairTerms:
        """The same sums by family; ``starts`` are the first positions of the families."""
        if len(starts) == self.shared.shape[2]:
            return self
        sums: dict[str, Any] = {
            name: np.add.reduceat(getattr(self, name), starts, axis=2) for name in _PER_PROMPT
        }
        return replace(self, **sums)

    @property
    def arrays(self) -> tuple[Floats, ...]:
        """The arrays, in the order of the fields."""
        return tuple(getattr(self, name) for name in _PER_PROMPT)


class PairValues(Struct, frozen=True, eq=False):
    """Similarity, floor and ceiling by pair, shape (M, M) or (M, M, U) with U units left out.

    nan where a pair has nothing to go by. The score is the caller's ratio.
    """

    similarity: Floats
    floor: Floats
    ceiling: Floats

    def chosen(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> PairValues:
        """The values of K pairs, shape (K,) or (K, U)."""
        return PairValues(
            self.similarity[rows, columns], self.floor[rows, columns], self.ceiling[rows, columns]
        )

    def mean(self) -> PairValues:
        """The panel: means over the first axis."""
        return PairValues(
            *(
                np.asarray(array.mean(axis=0))
                for array in (self.similarity, self.floor, self.ceiling)
            )
        )

    @property
    def room(self) -> Floats:
        """Ceiling minus floor: the scale on which the score is read."""
        return self.ceiling - self.floor

    @property
    def score(self) -> Floats:
        """(similarity - floor) / (ceiling - floor); nan where there is no room."""
        room = self.room
        score: Floats = np.full(np.shape(room), np.nan)
        np.divide(self.similarity - self.floor, room, out=score, where=room != 0)
        return score


def family_starts(families: tuple[str, ...]) -> NDArray[np.intp]:
    """First positions of the families of prompts that are sorted by family."""
    names = np.asarray(families, dtype=object)
    changes = names[1:] != names[:-1]
    return np.flatnonzero(np.concatenate([[True], changes.astype(bool)]))


def terms_from_summaries(summaries: Summaries) -> PairTerms:
    """Terms of a panel whose prompts are sorted by family.

    Cost ``O(M^2 P d)`` and never ``O(P^2)``; memory ``O(M^2 (P + d))``.
    """
    present = (summaries.counts > 0).astype(np.float64)
    shared = present[:, None, :] * present[None, :, :]
    between = _between(summaries)
    starts = family_starts(summaries.families)
    cross = shared * (_row_sums(summaries, slice(None)) - _same_family(summaries, between, starts))
    sizes = np.add.reduceat(shared, starts, axis=2)
    members = np.diff(np.append(starts, shared.shape[2]))
    others = shared.sum(axis=2, keepdims=True) - np.repeat(sizes, members, axis=2)
    within, replicated = within_models(summaries, np.diagonal(between).T)
    return PairTerms(
        shared,
        between,
        cross,
        shared * others,
        (within * replicated)[:, None, :] * shared,
        replicated[:, None, :] * shared,
        **_extremes(summaries),
    )


def _extremes(summaries: Summaries) -> dict[str, float]:
    """By Cauchy-Schwarz no two responses are more alike than the largest squared norm.

    For features without negative entries they are no less alike than not at all. Unit vectors
    stored as float32 are taken for what they are meant to be.
    """
    norms = summaries.squares[summaries.counts > 0] / summaries.counts[summaries.counts > 0]
    top = float(norms.max(initial=0.0)) or 1.0
    top = 1.0 if abs(top - 1.0) < 1e-5 else top
    return {"top": top, "least": 0.0 if (summaries.sums >= 0).all() else -top}


def _between(summaries: Summaries) -> Floats:
    """``a . b`` of every pair on every prompt, shape (M, M, P), some prompts at a time."""
    models, prompts = summaries.counts.shape
    between = np.empty((models, models, prompts))
    for start in range(0, prompts, _PROMPTS_AT_A_TIME):
        part = slice(start, start + _PROMPTS_AT_A_TIME)
        means = summaries.sums[:, part] / np.maximum(summaries.counts[:, part], 1)[:, :, None]
        by_prompt = means.transpose(1, 0, 2)
        between[:, :, part] = (by_prompt @ by_prompt.transpose(0, 2, 1)).transpose(1, 2, 0)
    return between


def _row_sums(summaries: Summaries, part: slice) -> Floats:
    """``a_p . sum_j b_j`` over the prompts j of a part that a and b share, shape (M, M, P)."""
    counts, sums = summaries.counts[:, part], summaries.sums[:, part]
    shares = 1.0 / np.maximum(counts, 1)
    present = (counts > 0).astype(np.float64)
    # [a, b]: a's mean vectors summed over the prompts that b has too.
    totals = (present[None, :, :] * shares[:, None, :]) @ sums
    rows = (sums @ totals.transpose(1, 2, 0)).transpose(0, 2, 1)
    return np.asarray(rows * shares[:, None, :])


def _same_family(summaries: Summaries, between: Floats, starts: NDArray[np.intp]) -> Floats:
    """The part of the row sums that comes from a prompt's own family."""
    own = between.copy()
    ends = np.append(starts[1:], between.shape[2])
    for start, end in zip(starts, ends, strict=True):
        if end - start > 1:
            part = slice(start, end)
            own[:, :, part] = _row_sums(summaries, part)
    return own


def within_models(summaries: Summaries, norms: Floats) -> tuple[Floats, Floats]:
    """Mean similarity of a model's different samples of a prompt, and where it is known.

    ``norms`` are the squared norms of the mean vectors, shape (M, P).
    """
    counts = summaries.counts
    replicated = counts > 1
    safe = np.where(replicated, counts, 2)
    within = (safe * norms - summaries.squares / safe) / (safe - 1)
    return np.where(replicated, within, 0.0), replicated.astype(np.float64)


def pair_values(terms: PairTerms, *, replicated: bool) -> PairValues:
    """Similarity, floor and ceiling of every pair, shape (M, M).

    Parameters
    ----------
    replicated
        False where models have one sample a prompt: the ceiling is then 1.
    """
    shared, between, cross, partners, within, known = (array.sum(axis=2) for array in terms.arrays)
    similarity = _ratio(between, shared)
    own = np.maximum(_ratio(within, known), 0.0)
    ceiling = np.sqrt(own * own.T) if replicated else _flat(terms.top, similarity)
    return PairValues(similarity, _ratio(cross, partners), ceiling)


def values_without(
    terms: PairTerms,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    *,
    replicated: bool,
) -> PairValues:
    """The same of K pairs with each unit left out in turn, shape (K, U).

    Leaving a unit out of the floor takes its row and its column: ordered pairs of prompts.
    """
    there, back = (rows, columns), (columns, rows)

    def left(array: Floats, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
        return np.asarray(array.sum(axis=2)[pairs][:, None] - array[pairs])

    similarity = _ratio(left(terms.between, there), left(terms.shared, there))
    floor = _ratio(
        left(terms.cross, there) - terms.cross[back],
        left(terms.partners, there) - terms.partners[there],
    )
    if not replicated:
        return PairValues(similarity, floor, _flat(terms.top, similarity))
    one, other = (
        np.maximum(_ratio(left(terms.within, pairs), left(terms.replicated, pairs)), 0.0)
        for pairs in (there, back)
    )
    return PairValues(similarity, floor, np.sqrt(one * other))


def _flat(ceiling: float, similarity: Floats) -> Floats:
    """The same ceiling wherever there is a similarity."""
    return np.where(np.isnan(similarity), np.nan, ceiling)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    # Counts are whole numbers, so half of one tells none from some.
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0.5)
