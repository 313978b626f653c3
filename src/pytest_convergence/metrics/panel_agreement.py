"""Agreement of a panel on labels, several samples a model: raw, by chance, and when wrong.

The coefficients of `metrics.agreement` take one label a rater and item. With n samples there is a
distribution of labels instead, and agreement is the chance that one response of each of two models
have the same label, whichever samples are put side by side. With one sample the two are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.agreement import Agreement, corrected_agreement
from pytest_convergence.metrics.capa import AnswerOverlap

_Floats = NDArray[np.float64]

# Usable labels of one model's responses to one prompt, and whether each is right where known.
Answer = tuple[str, bool | None]


@dataclass(frozen=True)
class PanelAgreement:
    """What stands beside a panel's agreement on labels.

    Attributes
    ----------
    raw
        The chance that two models' responses to a prompt have one label, in [0, 1].
    prevalence
        Share of each label, each model and prompt counting alike: look at it first.
    conger, fleiss, gwet_ac1
        Chance-corrected, None where chance alone gives agreement 1; see `metrics.agreement`.
    overlap
        Of every pair of models, on the prompts with known answers that both answered.
    both_wrong, same_wrong
        The chance that two models are both wrong, and that they give the same wrong label; means
        over pairs and prompts; None where no answer is known.
    when_both_wrong
        Agreement when both are wrong, same_wrong over both_wrong; None where they never are.
    """

    raw: float
    prevalence: Mapping[str, float]
    conger: Agreement
    fleiss: Agreement
    gwet_ac1: Agreement
    overlap: Mapping[tuple[str, str], AnswerOverlap]
    both_wrong: float | None
    same_wrong: float | None
    when_both_wrong: float | None


def panel_agreement(
    answers: Sequence[Sequence[Sequence[Answer]]], models: Sequence[str]
) -> PanelAgreement | None:
    """Agreement on labels with what it takes to read it; None where no two models share a prompt.

    Parameters
    ----------
    answers
        ``answers[m][p]``: the label and whether it is right (None where that is not known) of each
        usable response of model m to prompt p.
    """
    names = sorted({label for row in answers for cell in row for label, _ in cell})
    counts = np.array([[len(cell) for cell in row] for row in answers], dtype=np.float64)
    if not names or counts.size == 0 or not ((counts > 0).sum(axis=0) > 1).any():
        return None
    shares = _shares(answers, names)
    present = counts > 0
    overlap = _overlaps(answers, models, names)
    questions = np.array([one.questions for one in overlap.values()], dtype=np.float64)
    same = _pooled([one.same_wrong for one in overlap.values()], questions)
    wrong = _pooled([one.same_wrong + one.different_wrong for one in overlap.values()], questions)
    conger, fleiss, gwet = _coefficients(shares, present, names)
    return PanelAgreement(
        raw=conger.observed,
        prevalence=dict(conger.prevalence),  # type: ignore[arg-type]
        conger=conger,
        fleiss=fleiss,
        gwet_ac1=gwet,
        overlap=overlap,
        both_wrong=wrong,
        same_wrong=same,
        when_both_wrong=min(same / wrong, 1.0) if wrong and same is not None else None,
    )


def _pooled(values: Sequence[float], weights: _Floats) -> float | None:
    return float(np.average(values, weights=weights)) if weights.sum() else None


def _shares(answers: Sequence[Sequence[Sequence[Answer]]], names: Sequence[str]) -> _Floats:
    """The share of each label among a model's responses to a prompt, shape (M, P, K)."""
    column = {name: k for k, name in enumerate(names)}
    shares = np.zeros((len(answers), len(answers[0]), len(names)))
    for m, row in enumerate(answers):
        for p, cell in enumerate(row):
            for label, _ in cell:
                shares[m, p, column[label]] += 1 / len(cell)
    return shares


def _coefficients(
    shares: _Floats, present: NDArray[np.bool_], names: Sequence[str]
) -> tuple[Agreement, Agreement, Agreement]:
    """Conger's and Fleiss' kappa and Gwet's AC1 with missing labels as Gwet 2014 treats them."""
    raters = present.sum(axis=0).astype(np.float64)
    paired = raters > 1
    total = shares.sum(axis=0)
    agreeing = (total**2).sum(axis=-1) - (shares**2).sum(axis=(0, 2))
    observed = float(np.mean(agreeing[paired] / (raters * (raters - 1))[paired]))
    prevalence = (total / np.maximum(raters, 1)[:, None])[paired].mean(axis=0)
    answered = raters > 0
    pooled = (total[answered] / raters[answered, None]).mean(axis=0)
    margins = shares.sum(axis=1)[present.any(axis=1)]
    margins /= present.sum(axis=1)[present.any(axis=1), None]
    models = len(margins)
    both = float((margins.sum(axis=0) ** 2).sum() - (margins**2).sum()) / (models * (models - 1))
    spread = float((pooled * (1 - pooled)).sum() / (len(names) - 1)) if len(names) > 1 else 1.0
    about: dict[str, Any] = {
        "items": int(paired.sum()),
        "raters": len(shares),
        "prevalence": tuple(zip(names, prevalence.tolist(), strict=True)),
    }
    chances = {"conger": both, "fleiss": float(pooled @ pooled), "gwet_ac1": spread}
    conger, fleiss, gwet = (
        corrected_agreement(name, min(observed, 1.0), min(chance, 1.0), **about)
        for name, chance in chances.items()
    )
    return conger, fleiss, gwet


def _overlaps(
    answers: Sequence[Sequence[Sequence[Answer]]], models: Sequence[str], names: Sequence[str]
) -> dict[tuple[str, str], AnswerOverlap]:
    """Over all pairs of two models' responses, by the shares of right and of each wrong label."""
    known = np.array([[_known(cell) for cell in row] for row in answers])
    wrong = _shares(
        [[[one for one in cell if not one[1]] for cell in row] for row in answers], names
    )
    sizes = np.array([[max(len(cell), 1) for cell in row] for row in answers], dtype=np.float64)
    misses = np.array([[sum(not right for _, right in cell) for cell in row] for row in answers])
    wrong *= (misses / sizes)[:, :, None]
    right = np.where(known, 1.0 - misses / sizes, 0.0)
    found = {}
    for a in range(len(models)):
        for b in range(a + 1, len(models)):
            both = known[a] & known[b]
            if both.any():
                one, other = right[a, both], right[b, both]
                same = float((wrong[a, both] * wrong[b, both]).sum(axis=-1).mean())
                found[models[a], models[b]] = _overlap(one, other, same)
    return found


def _known(cell: Sequence[Answer]) -> bool:
    return bool(cell) and all(right is not None for _, right in cell)


def _overlap(first: _Floats, second: _Floats, same: float) -> AnswerOverlap:
    wrong = float(((1 - first) * (1 - second)).mean())
    return AnswerOverlap(
        both_right=float((first * second).mean()),
        only_first_right=float((first * (1 - second)).mean()),
        only_second_right=float(((1 - first) * second).mean()),
        same_wrong=same,
        different_wrong=max(wrong - same, 0.0),
        when_both_wrong=min(same / wrong, 1.0) if wrong > 0 else None,
        by_chance=None,
        questions=len(first),
    )
