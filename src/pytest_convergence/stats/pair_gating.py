"""Did a measure of whole pairs of models change between two recordings of the same prompts?

Of a measure of two distributions (Jensen-Shannon, total variation) no spread within prompts is
known. So families of prompts are taken as pairs: in an unchanged panel before and after could
change places in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.metrics.terms import family_starts
from pytest_convergence.stats.change import Change, change_by_families
from pytest_convergence.stats.gating import Direction, Look, Movement, movement


@dataclass(frozen=True, eq=False)
class PairTables:
    """Similarities of all pairs of M models on P prompts before and after, each (P, M, M).

    Prompts are sorted by family; nan where a model has no usable response, and on the diagonal.
    """

    before: Floats
    after: Floats
    families: Sequence[str]

    def by_prompt(self, member: int | None = None) -> tuple[Floats, Floats]:
        """The mean over pairs on each prompt, shape (P,): of all, or of one model's."""
        known = np.isfinite(self.before) & np.isfinite(self.after)
        if member is not None:
            chosen = np.zeros_like(known)
            chosen[:, member], chosen[:, :, member] = known[:, member], known[:, :, member]
            known = chosen
        count = known.sum(axis=(1, 2))
        first, second = (
            np.divide(
                np.where(known, values, 0.0).sum(axis=(1, 2)),
                count,
                out=np.full(len(count), np.nan),
                where=count > 0,
            )
            for values in (self.before, self.after)
        )
        return first, second

    def by_family(self, member: int | None = None) -> tuple[Floats, Floats]:
        """The mean over the prompts of each family that has any, shape (F,)."""
        starts = family_starts(tuple(self.families))
        first, second = self.by_prompt(member)
        known = np.isfinite(first)
        counts = np.add.reduceat(known.astype(np.float64), starts)
        sums = [np.add.reduceat(np.where(known, side, 0.0), starts) for side in (first, second)]
        return sums[0][counts > 0] / counts[counts > 0], sums[1][counts > 0] / counts[counts > 0]


def look_at_pairs(
    tables: PairTables,
    *,
    direction: Direction,
    smallest_effect: float,
    groups: int,
    alpha: float,
    seed: int,
) -> Look:
    """Did the similarity of a panel change, or that of one model with the others?

    Parameters are those of `gating.movement`.

    Raises
    ------
    ValueError
        Where no two models share a prompt on both sides.
    """
    models = tables.before.shape[1]
    looks = groups * (1 + models if models > 2 else 1)

    def seen(member: int | None) -> Change | None:
        first, second = tables.by_family(member)
        if not len(first):
            return None
        return change_by_families(
            float(first.mean()), float(second.mean()), _without(first), _without(second), seed=seed
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


def _without(values: Floats) -> Floats:
    """The mean with each value left out; of a single one, the value."""
    if len(values) < 2:
        return values
    return np.asarray((values.sum() - values) / (len(values) - 1))
