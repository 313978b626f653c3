"""What travels with every result: the responses, what is missing, who was right, who copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from pytest_convergence.results import CaseResponses, MissingResponse, Place

if TYPE_CHECKING:
    from pytest_convergence.models.response import Missing
    from pytest_convergence.represent.features import Label
    from pytest_convergence.represent.representation import Block, SampledCase

# One entry a response, by model and prompt: [m][p][i].
Labels: TypeAlias = "Sequence[Sequence[Sequence[Label]]]"
Gaps: TypeAlias = "Sequence[Sequence[Sequence[Missing | None]]]"


def missing_responses(
    missing: Gaps, cases: Sequence[SampledCase], models: Sequence[str]
) -> tuple[MissingResponse, ...]:
    """Every response that did not enter the numbers, with its reason."""
    return tuple(
        MissingResponse(model, case.prompt_id, sample, why.kind, why.reason)
        for model, row in zip(models, missing, strict=True)
        for case, cell in zip(cases, row, strict=True)
        if any(cell)
        for sample, why in enumerate(cell)
        if why is not None
    )


def case_responses(
    missing: Gaps,
    labels: Labels,
    cases: Sequence[SampledCase],
    models: Sequence[str],
    blocks: Sequence[Sequence[Block]] | None = None,
) -> tuple[CaseResponses, ...]:
    """The responses of each case, with what entered the numbers and the labels given.

    ``blocks`` are the features, where these are vectors that can be laid out on a map.
    """
    return tuple(
        CaseResponses(
            id=case.id,
            nodeid=case.nodeid,
            prompt_id=case.prompt_id,
            prompt=case.prompt,
            family=case.family,
            responses={model: case.responses[model] for model in models},
            usable={
                model: _usable(row[position]) for model, row in zip(models, missing, strict=True)
            },
            labels={
                model: tuple(row[position])
                for model, row in zip(models, labels, strict=True)
                if row[position]
            },
            places={}
            if blocks is None
            else _places(
                [row[position] for row in blocks], [row[position] for row in missing], models
            ),
        )
        for position, case in enumerate(cases)
    )


def _usable(gaps: Sequence[Missing | None]) -> tuple[bool, ...]:
    return tuple(why is None for why in gaps) if any(gaps) else _all_usable(len(gaps))


@lru_cache(maxsize=64)  # nearly always nothing is missing: one tuple for all of them
def _all_usable(count: int) -> tuple[bool, ...]:
    return (True,) * count


def _places(
    blocks: Sequence[Block], missing: Sequence[Sequence[Missing | None]], models: Sequence[str]
) -> Mapping[str, Sequence[Place | None]]:
    """Where each response lies; None for one that was not used, nothing where there is no map."""
    from pytest_convergence.metrics.response_map import response_map

    found = response_map(blocks)
    if found is None:
        return {}
    placed = iter(zip(found.positions.tolist(), found.clusters.tolist(), strict=True))
    return {
        model: tuple(_place(*next(placed)) if why is None else None for why in row)
        for model, row in zip(models, missing, strict=True)
    }


def _place(position: Sequence[float], cluster: int) -> Place:
    return position[0], position[1], cluster


def accuracy(labels: Labels, models: Sequence[str]) -> Mapping[str, float]:
    """Share of right answers by model, each prompt counting alike; only where answers are known."""
    result = {}
    for model, row in zip(models, labels, strict=True):
        shares = []
        for cell in row:
            known = [label.correct for label in cell if label.correct is not None]
            if known:
                shares.append(sum(known) / len(known))
        if shares:
            result[model] = sum(shares) / len(shares)
    return result


def copies(cases: Sequence[SampledCase], models: Sequence[str]) -> tuple[str, ...]:
    """Models that gave one text n times on every prompt: n copies are not n samples."""
    flagged: list[str] = []
    if sample_count(cases, models) < 2:
        return ()
    for model in models:
        cells = [[r.text for r in case.responses[model] if r.missing is None] for case in cases]
        several = [cell for cell in cells if len(cell) > 1]
        if several and all(len(set(cell)) == 1 for cell in several):
            flagged.append(model)
    return tuple(flagged)


def sample_count(cases: Sequence[SampledCase], models: Sequence[str]) -> int:
    """The largest number of responses that a model gave to a prompt."""
    return max((len(case.responses[m]) for case in cases for m in models), default=0)


def names(models: Sequence[str]) -> str:
    """Models for a sentence: six of them, and how many more."""
    shown = ", ".join(models[:6])
    return shown if len(models) <= 6 else f"{shown} and {len(models) - 6} more"
