"""Agreement of two models on questions whose answers are known, corrected for their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_convergence.metrics.agreement import Agreement, corrected_agreement
from pytest_convergence.metrics.tables import is_missing

Answers: TypeAlias = Sequence[Any] | NDArray[Any]

_BOTH_SURE = "both models are always right (or both always wrong), so chance alone explains it"


@dataclass(frozen=True, eq=False)
class _Answered:
    """The questions both models answered: same answer? right? how many options?"""

    kept: NDArray[np.bool_]
    same: NDArray[np.bool_]
    first: NDArray[np.bool_]
    second: NDArray[np.bool_]

    @property
    def accuracies(self) -> tuple[float, float]:
        return float(self.first.mean()), float(self.second.mean())


def _answered(first: Answers, second: Answers, truth: Answers) -> _Answered:
    if not len(first) == len(second) == len(truth):
        raise ValueError(f"lengths differ: {len(first)}, {len(second)}, truth {len(truth)}")
    rows = list(zip(first, second, truth, strict=True))
    kept = np.array([not (is_missing(a) or is_missing(b)) for a, b, _ in rows], dtype=np.bool_)
    if not kept.any():
        raise ValueError("no question was answered by both models")
    answered = [row for row, keep in zip(rows, kept, strict=True) if keep]
    return _Answered(
        kept,
        np.array([a == b for a, b, _ in answered], dtype=np.bool_),
        np.array([a == right for a, _, right in answered], dtype=np.bool_),
        np.array([b == right for _, b, right in answered], dtype=np.bool_),
    )


def _wrong_options(options: ArrayLike, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Number of wrong options of each question answered."""
    counts = np.broadcast_to(np.asarray(options, dtype=np.float64), kept.shape)[kept]
    if (counts < 2).any():
        raise ValueError("every question needs at least two options")
    return counts - 1


def capa(first: Answers, second: Answers, truth: Answers, *, options: ArrayLike) -> Agreement:
    """CAPA of chosen options: agreement beyond what the two accuracies alone would give.

    Chance is ``p q + (1 - p)(1 - q) mean[1/(options - 1)]`` with accuracies p and q: independent
    models are right as often as they are, and spread their errors evenly over the wrong options.

    Parameters
    ----------
    first, second, truth
        Chosen options and right ones, one for each question. None and nan are missing and the
        question is left out.
    options
        Number of options, one for all questions or one each.

    References
    ----------
    Goel et al. 2025, "Great Models Think Alike and this Undermines AI Oversight". Equal to
    ``lmsim.metrics.CAPA(prob=False)``.
    """
    answers = _answered(first, second, truth)
    p, q = answers.accuracies
    spread = float(np.mean(1.0 / _wrong_options(options, answers.kept)))
    return corrected_agreement(
        "capa",
        float(answers.same.mean()),
        p * q + (1 - p) * (1 - q) * spread,
        undefined_because=_BOTH_SURE,
        items=len(answers.same),
        raters=2,
        accuracies=(p, q),
    )


def capa_probabilistic(first: ArrayLike, second: ArrayLike, truth: ArrayLike) -> Agreement:
    """CAPA of probabilities over the options: two models agree as far as their answers overlap.

    ``observed`` is the mean of ``sum_k a_k b_k``; accuracies are the mean probability of the right
    option. Ragged questions are padded with nan.

    Parameters
    ----------
    first, second
        Shape (questions, options), rows summing to 1; nan beyond a question's last option.
    truth
        Index of the right option, shape (questions,).

    References
    ----------
    Goel et al. 2025. Equal to ``lmsim.metrics.CAPA(prob=True)``.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    right = np.asarray(truth, dtype=np.int64)
    if a.shape != b.shape or a.ndim != 2 or right.shape != a.shape[:1]:
        raise ValueError(f"shapes {a.shape}, {b.shape} and truth {right.shape} do not fit")
    for table in (a, b):
        if not np.allclose(np.nansum(table, axis=1), 1.0, atol=1e-6) or (table < 0).any():
            raise ValueError("every row must be probabilities that sum to 1")
    options = np.isfinite(a).sum(axis=1)
    rows = np.arange(len(a))
    p, q = float(a[rows, right].mean()), float(b[rows, right].mean())
    spread = float(np.mean(1.0 / _wrong_options(options, np.ones(len(a), dtype=np.bool_))))
    return corrected_agreement(
        "capa_probabilistic",
        float(np.nansum(a * b, axis=1).mean()),
        p * q + (1 - p) * (1 - q) * spread,
        undefined_because=_BOTH_SURE,
        items=len(a),
        raters=2,
        accuracies=(p, q),
    )


def error_consistency(first: Answers, second: Answers, truth: Answers) -> Agreement:
    """Are two models right and wrong on the same questions, more than their accuracies say?

    ``observed`` is the share of questions on which both are right or both wrong, whichever wrong
    answers they gave; chance is ``p q + (1 - p)(1 - q)``.

    References
    ----------
    Geirhos, Meding and Wichmann 2020, "Beyond accuracy: quantifying trial-by-trial behaviour of
    CNNs and humans by measuring error consistency". Equal to ``lmsim.metrics.EC``.
    """
    answers = _answered(first, second, truth)
    p, q = answers.accuracies
    return corrected_agreement(
        "error_consistency",
        float((answers.first == answers.second).mean()),
        p * q + (1 - p) * (1 - q),
        undefined_because=_BOTH_SURE,
        items=len(answers.same),
        raters=2,
        accuracies=(p, q),
    )


@dataclass(frozen=True, slots=True)
class AnswerOverlap:
    """Where two models stand on questions with known answers; the five shares sum to 1.

    Attributes
    ----------
    both_right, only_first_right, only_second_right, same_wrong, different_wrong
        Shares of the questions both answered.
    when_both_wrong
        Share of the same wrong answer where both are wrong; None where that never happens.
    by_chance
        The same for errors spread evenly over the wrong options; None without ``options``.
    questions
        Number of questions both answered.
    """

    both_right: float
    only_first_right: float
    only_second_right: float
    same_wrong: float
    different_wrong: float
    when_both_wrong: float | None
    by_chance: float | None
    questions: int

    @property
    def agreement(self) -> float:
        """Share of questions with the same answer: right together, or wrong alike."""
        return self.both_right + self.same_wrong

    @property
    def accuracies(self) -> tuple[float, float]:
        """Of the first and the second model."""
        return (
            self.both_right + self.only_first_right,
            self.both_right + self.only_second_right,
        )


def answer_overlap(
    first: Answers, second: Answers, truth: Answers, *, options: ArrayLike | None = None
) -> AnswerOverlap:
    """Agreement with the accuracy beside it: right together, wrong alike, or apart.

    Agreement when both are wrong is the part that correctness cannot explain (Kim, Garg, Peng and
    Garg 2025, "Correlated Errors in Large Language Models"). A missing answer leaves its question
    out.
    """
    answers = _answered(first, second, truth)
    wrong = ~answers.first & ~answers.second
    chance = None
    if options is not None and wrong.any():
        chance = float(np.mean(1.0 / _wrong_options(options, answers.kept)[wrong]))
    return AnswerOverlap(
        both_right=float((answers.first & answers.second).mean()),
        only_first_right=float((answers.first & ~answers.second).mean()),
        only_second_right=float((~answers.first & answers.second).mean()),
        same_wrong=float((wrong & answers.same).mean()),
        different_wrong=float((wrong & ~answers.same).mean()),
        when_both_wrong=float(answers.same[wrong].mean()) if wrong.any() else None,
        by_chance=chance,
        questions=len(answers.same),
    )
