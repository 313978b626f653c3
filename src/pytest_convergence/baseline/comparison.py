"""Before and after, prompt by prompt: may they be compared, and did the score change?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_convergence.baseline.blocks import GroupBlock
from pytest_convergence.baseline.decision import (
    ALPHA,
    Decision,
    ModelMove,
    OldAndNew,
    PromptMove,
)
from pytest_convergence.baseline.legality import Shared, served_otherwise, shared_prompts, why_stale
from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.summaries import Floats, Summaries
from pytest_convergence.stats.change import Change, distribution_shift
from pytest_convergence.stats.gating import Look, Recording, look, pair_weights

if TYPE_CHECKING:
    from pytest_convergence.baseline.features import Cell
    from pytest_convergence.declaration import Direction
    from pytest_convergence.metrics.estimates import GroupEstimate

_LEAST_SHIFT = 0.01
_SHOWN = 5
_LEAST_MOVE = 0.1

Blocks = Sequence[Sequence[Floats]]


@dataclass(frozen=True)
class Rule:
    """By what the gate decides: stated before the data are seen.

    ``groups`` is the number of groups in the baseline, so that a group's verdict does not depend
    on which others were selected.
    """

    direction: Direction
    smallest_effect: float
    groups: int
    seed: int


@dataclass(frozen=True, eq=False)
class Sides:
    """The same models and prompts before and after, in one order.

    ``drawn`` are the features of the responses on each side, ``drawn[side][m][p]`` of shape
    (n, d); where the baseline keeps means only, both sides are the new ones. ``redrawn`` says
    which models were recorded anew, shape (M,); ``labelled`` that the metric has labels to show.
    """

    cells: tuple[Sequence[Sequence[Cell]], Sequence[Sequence[Cell]]]
    before: Summaries
    after: Summaries
    drawn: tuple[Blocks, Blocks]
    redrawn: Sequence[bool]
    copies: bool
    labelled: bool


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
    prompts = len(after.cases)
    if before is None:
        return Decision("new", "the baseline does not have this group", prompts=prompts)
    reason = why_stale(before, after)
    shared = shared_prompts(before, after)
    if reason is None and not shared.pairs:
        reason = "no prompt is the same: all were reworded or replaced"
    if reason is not None:
        return Decision("stale", reason, prompts=prompts, notes=shared.notes)
    sides = _sides(before, after, shared, features, families)
    if isinstance(sides, str):
        return Decision("stale", sides, prompts=prompts, notes=shared.notes)
    decision = _decide(sides, rule)
    served = served_otherwise(before, after)
    if served is not None:
        # Another model under the same name: what it would mean is told, and a person decides.
        reason = f"{served}; taken for the same model it would be {decision.status}"
        decision = replace(decision, status="stale", reason=reason)
    elif decision.status == "unchanged" and not shared.whole:
        kept = f"{len(shared.pairs)} of {prompts} prompts are comparable, and those are unchanged"
        decision = replace(decision, status="partial", reason=kept)
    return replace(decision, prompts=prompts, compared=len(shared.pairs), notes=shared.notes)


def _sides(
    before: GroupBlock,
    after: GroupBlock,
    shared: Shared,
    features: Mapping[tuple[str, str], Floats],
    families: Mapping[str, str],
) -> Sides | str:
    """Both sides in one order, or why the features themselves cannot be compared."""
    models = sorted(after.models)
    pairs = sorted(shared.pairs, key=lambda pair: (families[pair[1]], pair[1]))
    old = [[before.cases[a].cells[model] for a, _ in pairs] for model in models]
    new = [[after.cases[b].cells[model] for _, b in pairs] for model in models]
    redrawn = [
        any(a.texts != b.texts for a, b in zip(*rows, strict=True))
        for rows in zip(old, new, strict=True)
    ]
    names = [name for _, name in pairs]
    groups = [families[name] for name in names]
    try:
        vocabulary = sorted(
            {label for row in (*old, *new) for c in row for label in c.labels or ()}
        )
        first = _summaries(old, vocabulary, models, names, groups)
        second = _summaries(new, vocabulary, models, names, groups)
        width = second.sums.shape[2]
        if first.sums.shape[2] != width:
            raise ValueError(f"features of width {first.sums.shape[2]}, now of {width}")
        for model, row, now, anew in zip(models, old, new, redrawn, strict=True):
            if not anew and not all(map(_alike, row, now)):
                raise ValueError(
                    f"the same responses of {model} are now represented otherwise: the labeller, "
                    "what it is given, or the metric has changed without its version"
                )
    except ValueError as error:
        return str(error)
    drawn: Blocks = [
        [np.asarray(features[model, name], dtype=np.float64) for name in names] for model in models
    ]
    both = (drawn, drawn)
    if vocabulary:
        both = _one_hot(old, vocabulary), _one_hot(new, vocabulary)
    copies = any(
        anew and (before.models[model].copies or after.models[model].copies)
        for model, anew in zip(models, redrawn, strict=True)
    )
    labelled = after.metric.startswith("label:")
    return Sides((old, new), first, second, both, redrawn, copies, labelled)


def _alike(old: Cell, new: Cell) -> bool:
    """Whether two cells of the same texts have the same features, up to the file's rounding."""
    if old.count != new.count or old.labels != new.labels:
        return False
    if old.mean is None or new.mean is None:
        return old.mean is new.mean
    same_shape = old.mean.shape == new.mean.shape
    step = float(np.abs(new.mean).max(initial=0.0)) / 127.0
    return same_shape and bool(np.abs(old.mean - new.mean).max(initial=0.0) <= step)


def _summaries(
    cells: Sequence[Sequence[Cell]],
    vocabulary: Sequence[str],
    models: Sequence[str],
    prompts: Sequence[str],
    families: Sequence[str],
) -> Summaries:
    column = {label: position for position, label in enumerate(vocabulary)}
    widths = {len(cell.mean) for row in cells for cell in row if cell.mean is not None}
    if len(widths) > 1 or (widths and vocabulary):
        raise ValueError("features of several widths")
    width = widths.pop() if widths else max(len(vocabulary), 1)
    counts = np.array([[cell.count for cell in row] for row in cells], dtype=np.int64)
    sums = np.zeros((len(models), len(prompts), width))
    squares = np.zeros(counts.shape)
    for m, row in enumerate(cells):
        for p, cell in enumerate(row):
            squares[m, p] = cell.square * cell.count
            if cell.mean is not None:
                sums[m, p] = cell.mean * cell.count
            for label, count in (cell.labels or {}).items():
                sums[m, p, column[label]] = count
    return Summaries(tuple(models), tuple(prompts), tuple(families), counts, sums, squares)


def _one_hot(cells: Sequence[Sequence[Cell]], vocabulary: Sequence[str]) -> Blocks:
    unit = np.eye(len(vocabulary))
    return [
        [
            unit[[vocabulary.index(x) for x, k in (c.labels or {}).items() for _ in range(k)]]
            for c in row
        ]
        for row in cells
    ]


def _decide(sides: Sides, rule: Rule) -> Decision:
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
    whole = pair_weights(first, second)
    same = Decision(
        "unchanged",
        quantity=quantity,
        before=first.value(whole, quantity),
        after=second.value(whole, quantity),
        direction=rule.direction,
        smallest_effect=rule.smallest_effect,
        groups=rule.groups,
        looks=1 + len(found.members),
    )
    if not any(sides.redrawn):
        # The same recordings: whatever rounding says, nothing has changed.
        return replace(
            same, after=same.before, difference=0.0, low=0.0, high=0.0, pvalue=1.0,
            method="the recordings are the same",
        )  # fmt: skip
    return replace(
        same,
        status=found.movement,
        difference=found.change.difference,
        low=found.change.interval.low,
        high=found.change.interval.high,
        pvalue=_for_the_worse(found.change, rule),
        method=found.change.interval.method,
        models=_models(sides, (first, second), found, quantity, rule),
        moved=_moved(before, after),
        examples=_examples(sides, before, after, rule),
    )


def _for_the_worse(change: Change, rule: Rule) -> float:
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
                pvalue=None if change is None else _for_the_worse(change, rule),
                movement=found.moves[position] if found.moves else "unchanged",
                mmd2=None if shift is None else shift.mmd2,
                mmd_pvalue=None if shift is None else shift.pvalue,
                changed=shift is not None
                and shift.mmd2 >= _LEAST_SHIFT
                and shift.pvalue <= ALPHA / (rule.groups * len(names)),
            )
        )
    return tuple(moves)


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _moved(before: GroupEstimate, after: GroupEstimate) -> tuple[PromptMove, ...]:
    """The prompts whose similarity moved most; a single one is never significant."""
    moves = after.by_prompt - before.by_prompt
    order = np.argsort(-np.abs(np.nan_to_num(moves)), kind="stable")[:_SHOWN]
    return tuple(
        PromptMove(before.prompts[p], float(before.by_prompt[p]), float(after.by_prompt[p]))
        for p in order
        if np.abs(np.nan_to_num(moves[p])) >= _LEAST_MOVE
    )


def _examples(
    sides: Sides, before: GroupEstimate, after: GroupEstimate, rule: Rule
) -> tuple[OldAndNew, ...]:
    """The model that moved most on the prompt that moved most for the worse."""
    moves = np.nan_to_num(after.by_prompt - before.by_prompt)
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
            _counted(old) if sides.labelled else "",
            _counted(new) if sides.labelled else "",
        ),
    )


def _counted(cell: Cell) -> str:
    """Labels with how often each was given, the commonest first."""
    labels = sorted((cell.labels or {}).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} {count}" for label, count in labels[:4])
