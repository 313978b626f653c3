"""Before and after, prompt by prompt: may they be compared, and did the score change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pytest_convergence.baseline.blocks import GroupBlock
from pytest_convergence.baseline.decision import (
    ALPHA,
    LEAST_SHIFT,
    Decision,
    ModelMove,
    OldAndNew,
    Rule,
    most_moved,
)
from pytest_convergence.baseline.legality import Shared, compared
from pytest_convergence.baseline.sides import Sides, counted, sides_of
from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.summaries import Floats
from pytest_convergence.stats.change import Change, distribution_shift
from pytest_convergence.stats.gating import Look, Recording, look, pair_weights


def compare(
    before: GroupBlock | None,
    after: GroupBlock,
    *,
    features: Mapping[tuple[str, str], Floats],
    families: Mapping[str, str],
    rule: Rule,
) -> Decision:
    """Compare one group with its block in the baseline.

    Parameters
    ----------
    before
        None where the baseline does not have the group.
    features
        By (model, prompt id) of ``after``, the features of its responses, shape (n, d).
    families
        By prompt id of ``after``.
    """

    def decide(old: GroupBlock, shared: Shared) -> Decision | str:
        sides = sides_of(old, after, shared, features, families)
        return sides if isinstance(sides, str) else _decide(sides, rule)

    return compared(before, after, decide)


def _decide(sides: Sides, rule: Rule) -> Decision | str:
    before, after = (
        estimate_group(side, permutations=0, seed=rule.seed) for side in (sides.before, sides.after)
    )
    quantity = "score" if before.score is not None and after.score is not None else "similarity"
    first, second = (
        Recording.of(side, blocks, samples=estimate.samples, copies=sides.copies)
        for side, blocks, estimate in zip(
            (sides.before, sides.after), sides.drawn, (before, after), strict=True
        )
    )
    whole, models = pair_weights(first, second), len(sides.redrawn)
    if not whole.any():
        return "no two models share a prompt before and after"
    same = Decision(
        "unchanged",
        quantity=quantity,
        before=first.value(whole, quantity),
        after=second.value(whole, quantity),
        direction=rule.direction,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        looks=1 + models if models > 2 else 1,
    )
    if not any(sides.redrawn):
        return same.of_the_same_recordings()
    found = look(
        first,
        second,
        redrawn=sides.redrawn,
        quantity=quantity,
        direction=rule.direction,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        alpha=ALPHA,
        seed=rule.seed,
    )
    pairs = sides.copies or min(before.samples, after.samples) < 2
    families = len(set(sides.after.families)) if pairs else None
    return replace(
        same.of_look(found, pvalue=for_the_worse(found.change, rule), families=families),
        models=_models(sides, (first, second), found, quantity, rule),
        moved=most_moved(before.prompts, before.by_prompt, after.by_prompt),
        examples=worst_example(sides, after.by_prompt - before.by_prompt, rule),
    )


def for_the_worse(change: Change, rule: Rule) -> float:
    """The p value of a change for the worse, by what the test guards."""
    return change.falling if rule.direction == "converges" else change.rising


def _models(
    sides: Sides, recordings: tuple[Recording, Recording], found: Look, quantity: str, rule: Rule
) -> tuple[ModelMove, ...]:
    first, second = recordings
    names = sides.before.models
    moves = []
    for position, name in enumerate(names):
        weights = pair_weights(first, second, position)
        change = found.members[position] if found.members else None
        shift = None
        if sides.redrawn[position]:
            shift = distribution_shift(sides.before, sides.after, position)
        moves.append(
            ModelMove(
                name,
                _finite(first.value(weights, quantity)),
                _finite(second.value(weights, quantity)),
                bool(sides.redrawn[position]),
                difference=None if change is None else change.difference,
                low=None if change is None else change.interval.low,
                high=None if change is None else change.interval.high,
                pvalue=None if change is None else for_the_worse(change, rule),
                movement=found.moves[position] if found.moves else "unchanged",
                mmd2=None if shift is None else shift.mmd2,
                mmd_pvalue=None if shift is None else shift.pvalue,
                changed=shift is not None
                and shift.mmd2 >= LEAST_SHIFT
                and shift.pvalue <= ALPHA / (rule.groups * len(names)),
            )
        )
    return tuple(moves)


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def worst_example(sides: Sides, by_prompt: Floats, rule: Rule) -> tuple[OldAndNew, ...]:
    """The model that moved most on the prompt that moved most for the worse.

    ``by_prompt`` is by how much the similarity rose on each prompt, shape (P,).
    """
    moves = np.nan_to_num(by_prompt)
    prompt = int(np.argmin(moves) if rule.direction == "converges" else np.argmax(moves))
    safe = [np.maximum(s.counts[:, prompt], 1)[:, None] for s in (sides.before, sides.after)]
    shift = sides.after.sums[:, prompt] / safe[1] - sides.before.sums[:, prompt] / safe[0]
    moved = np.where(sides.redrawn, (shift**2).sum(axis=1), -1.0)
    model = int(np.argmax(moved))
    old, new = (side[model][prompt] for side in sides.cells)
    return (
        OldAndNew(
            sides.before.prompts[prompt],
            sides.before.models[model],
            old.examples,
            new.examples,
            counted(old) if sides.labelled else "",
            counted(new) if sides.labelled else "",
        ),
    )
