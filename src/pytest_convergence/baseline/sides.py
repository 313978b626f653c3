"""Before and after in one order: the same models, the same prompts, features of one width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pytest_convergence.metrics.summaries import Floats, Summaries

if TYPE_CHECKING:
    from pytest_convergence.baseline.blocks import GroupBlock
    from pytest_convergence.baseline.features import Cell
    from pytest_convergence.baseline.legality import Shared

Blocks: TypeAlias = Sequence[Sequence[Floats]]

JUDGED_OTHERWISE = (
    "the same responses of {model} are now represented otherwise: the labeller, "
    "what it is given, or the metric has changed without its version"
)


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


def sides_of(
    before: GroupBlock,
    after: GroupBlock,
    shared: Shared,
    features: Mapping[tuple[str, str], Floats] | None,
    families: Mapping[str, str],
) -> Sides | str:
    """Both sides in one order, or why the features themselves cannot be compared.

    Parameters
    ----------
    features
        By (model, prompt id) of ``after``; None where labels are all that is compared.
    """
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
                raise ValueError(JUDGED_OTHERWISE.format(model=model))
    except ValueError as error:
        return str(error)
    drawn: Blocks = []
    if features is not None:
        drawn = [[np.asarray(features[m, n], dtype=np.float64) for n in names] for m in models]
    both = (drawn, drawn)
    if vocabulary:
        both = _one_hot(old, vocabulary), _one_hot(new, vocabulary)
    copies = any(
        anew and (before.models[model].copies or after.models[model].copies)
        for model, anew in zip(models, redrawn, strict=True)
    )
    labelled = "label:" in after.metric
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


def counted(cell: Cell) -> str:
    """Labels with how often each was given, the commonest first."""
    labels = sorted((cell.labels or {}).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} {count}" for label, count in labels[:4])
