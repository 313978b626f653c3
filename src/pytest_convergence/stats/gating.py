"""Did a score change between two recordings of the same prompts?

The prompts are the same on both sides, so what could make two recordings of an unchanged panel
differ is the drawing of responses alone. How much it does is known from the spread of each model's
samples on each prompt; where there is one sample, or copies of one, from the families of prompts
taken as pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.metrics.terms import (
    PairValues,
    family_starts,
    pair_values,
    terms_from_summaries,
    values_without,
)
from pytest_convergence.stats.change import Change, change_by_families, change_by_samples
from pytest_convergence.stats.noise import Blocks, Slopes, Spread

Movement: TypeAlias = Literal["unchanged", "regressed", "improved"]
Direction: TypeAlias = Literal["converges", "diverges"]

_LEAST_ROOM = 0.05


def movement(
    change: Change, *, direction: Direction, smallest_effect: float, groups: int, alpha: float
) -> Movement:
    """Regressed or improved, where the change is significant and large enough to matter.

    Bonferroni's correction: a suite of ``groups`` unchanged groups fails with probability at most
    ``alpha``, and each group's verdict depends on no other's. Where a group is looked at in several
    ways (its score, and each model's with the others), ``groups`` counts all of them.

    Parameters
    ----------
    direction
        What the test guards. Where that is agreement a fall is the regression, else a rise.
    smallest_effect
        In units of the score.
    """
    down = change.falling <= alpha / groups and change.difference <= -smallest_effect
    up = change.rising <= alpha / groups and change.difference >= smallest_effect
    if not (up or down) or change.difference == 0:
        return "unchanged"
    return "regressed" if down == (direction == "converges") else "improved"


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording of a panel: its sums, the values of its pairs, its responses' spread.

    ``values`` has shape (M, M). ``samples`` and ``copies`` say whether the spread of samples
    within prompts can be known: not from one sample, nor from copies of one.
    """

    summaries: Summaries
    values: PairValues
    slopes: Slopes
    spread: Spread
    samples: int
    copies: bool

    @classmethod
    def of(
        cls,
        summaries: Summaries,
        blocks: Blocks,
        *,
        samples: int,
        copies: bool = False,
    ) -> Recording:
        """The recording of these sums, whose prompts are sorted by family.

        Parameters
        ----------
        blocks
            Features of the responses, ``blocks[m][p]`` of shape (n, d); where a baseline keeps
            sums only, those of the other recording.
        """
        values = pair_values(terms_from_summaries(summaries), replicated=samples > 1)
        return cls(summaries, values, Slopes.of(summaries), Spread.of(blocks), samples, copies)

    def value(self, weights: Floats, quantity: str) -> float:
        """The weighted score or similarity."""
        means = self.means(weights)
        return float(means.score if quantity == "score" else means.similarity)

    def means(self, weights: Floats) -> PairValues:
        """Weighted means over pairs of similarity, floor and ceiling, each of shape ()."""
        return PairValues(
            *(
                np.asarray(np.where(weights > 0, weights * array, 0.0).sum() / weights.sum())
                for array in (self.values.similarity, self.values.floor, self.values.ceiling)
            )
        )


def pair_weights(before: Recording, after: Recording, member: int | None = None) -> Floats:
    """Equal weights for the pairs that both recordings have, shape (M, M).

    Parameters
    ----------
    member
        None for all pairs; else only those of this model with the others.
    """
    usable = np.isfinite(before.values.room) & np.isfinite(after.values.room)
    np.fill_diagonal(usable, False)
    if member is not None:
        chosen = np.zeros_like(usable)
        chosen[member], chosen[:, member] = usable[member], usable[:, member]
        usable = chosen
    total = usable.sum() / 2.0
    return usable / total if total else usable.astype(np.float64)


def measure(
    before: Recording,
    after: Recording,
    *,
    weights: Floats,
    redrawn: Sequence[bool],
    quantity: str,
    seed: int,
) -> Change:
    """The change of a score (or similarity) between two recordings of the same prompts.

    By the samples within prompts; where there is one a prompt, or copies of one, by families.

    Parameters
    ----------
    before, after
        The same models and prompts in the same order, prompts sorted by family.
    weights
        Of the pairs of models, see `pair_weights`.
    redrawn
        Which models were recorded anew, shape (M,): the others lend no noise.
    quantity
        ``"score"``, where both have one, or ``"similarity"``.
    """
    sides = (before, after)
    first, second = (side.value(weights, quantity) for side in sides)
    if min(before.samples, after.samples) < 2 or before.copies or after.copies:
        without = [_without_families(side, weights, quantity) for side in sides]
        return change_by_families(first, second, without[0], without[1], seed=seed)
    gradients = [_gradient(side, weights, quantity) for side in sides]
    gradient = (gradients[0] + gradients[1]) / 2.0
    chosen = np.flatnonzero(redrawn)
    noise, freedom = [], []
    for side in sides:
        variance, degrees = side.spread.variance(gradient)
        noise.append(variance[chosen].ravel())
        freedom.append(degrees[chosen].ravel())
    return change_by_samples(first, second, np.concatenate(noise), np.concatenate(freedom))


def _gradient(side: Recording, weights: Floats, quantity: str) -> Floats:
    if quantity != "score":
        return side.slopes.similarity(weights)
    means = side.means(weights)
    return side.slopes.score(weights, score=float(means.score), room=float(means.room))


def _without_families(side: Recording, weights: Floats, quantity: str) -> Floats:
    starts = family_starts(side.summaries.families)
    families = terms_from_summaries(side.summaries).by_family(starts)
    rows, columns = np.nonzero(weights)
    without = values_without(families, rows, columns, replicated=side.samples > 1)
    share = weights[rows, columns] / weights.sum()
    means = PairValues(share @ without.similarity, share @ without.floor, share @ without.ceiling)
    return means.score if quantity == "score" else means.similarity


@dataclass(frozen=True, slots=True)
class Look:
    """What a group's comparison shows: its own change, and each model's with the others.

    ``moves`` says for each of ``members`` what `movement` says of it; both are empty for two
    models, whose one pair is the group. ``movement`` is regressed where any of them is.
    """

    movement: Movement
    change: Change
    own: Movement
    members: tuple[Change | None, ...]
    moves: tuple[Movement, ...]

    @classmethod
    def of(
        cls,
        change: Change,
        members: tuple[Change | None, ...],
        judged: Callable[[Change], Movement],
    ) -> Look:
        """The group's look and its members', each judged alike; None where there is nothing."""
        own = judged(change)
        moves = tuple("unchanged" if one is None else judged(one) for one in members)
        found = {own, *moves}
        overall: Movement = "unchanged"
        if "regressed" in found:
            overall = "regressed"
        elif "improved" in found:
            overall = "improved"
        return cls(overall, change, own, members, moves)


def look(
    before: Recording,
    after: Recording,
    *,
    redrawn: Sequence[bool],
    quantity: str,
    direction: Direction,
    smallest_effect: float,
    groups: int,
    alpha: float,
    seed: int,
) -> Look:
    """Did a group's score change, or one model's score with the others?

    The change that happens is one model's, and in the mean over all pairs of five models three
    fifths are of others: its own pairs show it with twice the power. All looks are corrected for.
    Parameters are those of `measure` and `movement`.
    """
    models = len(before.summaries.models)
    looks = groups * (1 + models if models > 2 else 1)

    def seen(member: int | None) -> Change | None:
        weights = pair_weights(before, after, member)
        rooms = (
            [float(side.means(weights).room) for side in (before, after)] if weights.any() else []
        )
        if not rooms or (quantity == "score" and member is not None and min(rooms) < _LEAST_ROOM):
            return None
        return measure(
            before, after, weights=weights, redrawn=redrawn, quantity=quantity, seed=seed
        )

    def judged(change: Change) -> Movement:
        return movement(
            change,
            direction=direction,
            smallest_effect=smallest_effect,
            groups=looks,
            alpha=alpha,
        )

    change = seen(None)
    if change is None:
        raise ValueError("no two models share a prompt")
    members = tuple(seen(member) for member in range(models)) if models > 2 else ()
    return Look.of(change, members, judged)
