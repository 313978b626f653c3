"""Before and after by a measure of two models' label counts: Jensen-Shannon, total variation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_convergence.baseline.comparison import for_the_worse, worst_example
from pytest_convergence.baseline.decision import (
    ALPHA,
    LEAST_SHIFT,
    Decision,
    ModelMove,
    Rule,
    most_moved,
)
from pytest_convergence.baseline.legality import Shared, compared
from pytest_convergence.baseline.sides import Sides, sides_of
from pytest_convergence.metrics.distributions import measure_of
from pytest_convergence.metrics.pair_tables import pair_table
from pytest_convergence.stats.change import distribution_shift
from pytest_convergence.stats.pair_gating import PairTables, look_at_pairs

if TYPE_CHECKING:
    from pytest_convergence.baseline.blocks import GroupBlock
    from pytest_convergence.metrics.summaries import Floats
    from pytest_convergence.stats.gating import Look


def compare_pairs(
    before: GroupBlock | None,
    after: GroupBlock,
    *,
    metric: str,
    families: Mapping[str, str],
    rule: Rule,
) -> Decision:
    """Compare one group with its block in the baseline, by ``"js"`` or ``"total-variation"``.

    Parameters
    ----------
    before
        None where the baseline does not have the group.
    families
        By prompt id of ``after``.
    """

    def decide(old: GroupBlock, shared: Shared) -> Decision | str:
        sides = sides_of(old, after, shared, None, families)
        return sides if isinstance(sides, str) else _decide(sides, metric, rule)

    return compared(before, after, decide)


def _decide(sides: Sides, metric: str, rule: Rule) -> Decision | str:
    first, second = (_tables(sides, side, metric) for side in (0, 1))
    tables = PairTables(first, second, sides.after.families)
    by_family, models = tables.by_family(), len(sides.redrawn)
    if not len(by_family[0]):
        return "no two models share a prompt before and after"
    old, new = (float(side.mean()) for side in by_family)
    same = Decision(
        "unchanged",
        quantity="similarity",
        before=old,
        after=new,
        direction=rule.direction,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        looks=1 + models if models > 2 else 1,
    )
    if not any(sides.redrawn):
        return same.of_the_same_recordings()
    found = look_at_pairs(
        tables,
        direction=rule.direction,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        alpha=ALPHA,
        seed=rule.seed,
    )
    by_prompt = tables.by_prompt()
    return replace(
        same.of_look(
            found, pvalue=for_the_worse(found.change, rule), families=len(set(tables.families))
        ),
        models=tuple(_model(m, sides, tables, found, rule) for m in range(models)),
        moved=most_moved(sides.after.prompts, *by_prompt),
        examples=worst_example(sides, by_prompt[1] - by_prompt[0], rule),
    )


def _tables(sides: Sides, side: int, metric: str) -> Floats:
    """The measure of every pair of models on every prompt, shape (P, M, M)."""
    drawn = sides.drawn[side]
    prompts = range(len(sides.after.prompts))
    return np.stack([pair_table(measure_of(metric), [row[p] for row in drawn]) for p in prompts])


def _model(position: int, sides: Sides, tables: PairTables, found: Look, rule: Rule) -> ModelMove:
    change = found.members[position] if found.members else None
    anew = bool(sides.redrawn[position])
    shift = distribution_shift(sides.before, sides.after, position) if anew else None
    first, second = tables.by_family(position)
    return ModelMove(
        sides.after.models[position],
        float(first.mean()) if len(first) else None,
        float(second.mean()) if len(second) else None,
        anew,
        difference=None if change is None else change.difference,
        low=None if change is None else change.interval.low,
        high=None if change is None else change.interval.high,
        pvalue=None if change is None else for_the_worse(change, rule),
        movement=found.moves[position] if found.moves else "unchanged",
        mmd2=None if shift is None else shift.mmd2,
        mmd_pvalue=None if shift is None else shift.pvalue,
        changed=shift is not None
        and shift.mmd2 >= LEAST_SHIFT
        and shift.pvalue <= ALPHA / (rule.groups * len(sides.redrawn)),
    )
