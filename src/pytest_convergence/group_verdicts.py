"""What a group's marker asks of its responses: a score, and rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_convergence.results import CheckResult, ConvergenceFailure, Result

if TYPE_CHECKING:
    from pytest_convergence.checks import Subject
    from pytest_convergence.declaration import Declaration
    from pytest_convergence.judging import Question
    from pytest_convergence.represent.representation import SampledCase, Vectors


def judge_declared(
    question: Question,
    subject: Subject,
    declaration: Declaration,
    cases: Sequence[SampledCase],
    models: Sequence[str],
    vectors: Vectors,
) -> list[Result]:
    """The results of a group: its score where there are two models, its rates where asked.

    A panel of one has nothing to agree with. What it has to say of rates is judged where the
    marker bounds them and reported where it does not; a threshold that the marker sets for a
    score is not passed over in silence, the score is undefined.
    """
    from pytest_convergence.judging import judge_group

    results: list[Result] = []
    if len(models) > 1:
        results.append(judge_group(question, cases, models, vectors))
    if declaration.at_least is not None or declaration.at_most is not None:
        results.append(_rate(subject, declaration, cases, models))
    if len(models) < 2 and (not results or declaration.threshold is not None):
        results.insert(0, _alone(subject, declaration, cases, models))
    return results


def conclude_group(results: Sequence[Result]) -> None:
    """Fail for what does not hold, else skip for what is incomplete.

    Raises
    ------
    ConvergenceFailure
        With the messages of all results that do not hold.
    """
    from pytest_convergence.assertions import described

    open_ones = [one for one in results if not one.passed]
    failed = [one for one in open_ones if one.verdict != "incomplete"]
    if failed:
        raise ConvergenceFailure("\n\n".join(described(one)[1] for one in failed), failed[0])
    if open_ones:
        pytest.skip(described(open_ones[0])[0])


def _rate(
    subject: Subject,
    declaration: Declaration,
    cases: Sequence[SampledCase],
    models: Sequence[str],
) -> CheckResult:
    from pytest_convergence.checks import one_bound
    from pytest_convergence.rates import Outcome, judge_rate

    threshold, direction = one_bound(
        subject.nodeid, "the marker", declaration.at_least, declaration.at_most, 0.0
    )
    outcome = Outcome.of(declaration.value)
    return judge_rate(subject, cases, models, outcome, threshold, direction)


def _alone(
    subject: Subject,
    declaration: Declaration,
    cases: Sequence[SampledCase],
    models: Sequence[str],
) -> CheckResult:
    """What there is to say of one model where no rate is asked: its rate, if anything is known."""
    from pytest_convergence.rates import Outcome, judge_rate
    from pytest_convergence.represent.representation import label_responses

    labels = label_responses(cases, models, subject.labeller)
    outcome = Outcome.of(declaration.value)
    wanted = declaration.threshold is not None
    known = any(outcome.passes(one) is not None for row in labels for cell in row for one in cell)
    if known and not wanted:
        return judge_rate(subject, cases, models, outcome, None, "at_least")
    why = "a score needs two models, the panel has one" if wanted else "one model, no rate asked"
    return CheckResult(
        **{
            **subject.fields("rate", "none", cases=cases, models=models, labels=labels),
            "id": f"{subject.nodeid}#alone",
        },
        value=None,
        interval=None,
        threshold=None,
        direction="at_least",
        verdict="undefined" if wanted else None,
        settled=True,
        passed=not wanted,
        reason=f"{why}: give the marker at_least=…, or name more models",
    )
