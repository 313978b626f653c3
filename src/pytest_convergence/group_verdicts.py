"""What a group's marker asks of its responses: a score, and rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_convergence.results import CheckResult, ConvergenceFailure, Result

if TYPE_CHECKING:
    from pytest_convergence.checks import Subject
    from pytest_convergence.declaration import Declaration, Group
    from pytest_convergence.evaluation import Evaluation
    from pytest_convergence.groups import GroupItem
    from pytest_convergence.judging import Question
    from pytest_convergence.panel import EvalTest
    from pytest_convergence.represent.representation import SampledCase, Vectors


def results_of_group(evaluation: Evaluation, item: GroupItem) -> list[Result]:
    """All results of one group: as its marker declares, compared with the baseline where asked."""
    from pytest_convergence.checks import Subject
    from pytest_convergence.running import running

    group, declaration = item.group, item.group.declaration
    evaluation.names.check(declaration, group.id)
    models = evaluation.group_names(group)
    cases = evaluation.sampled_all(group.cases, models)
    question = _question(evaluation, group, models)
    subject = Subject.of_group(
        group, "rate", labeller=question.labeller, simulated=question.simulated
    )
    swap, gate = evaluation.names.swap, evaluation.gate
    if swap is not None:
        from pytest_convergence.swap import asked_of, with_swap

        question = asked_of(question)
    with running(lambda: _test(evaluation, group)):
        results = judge_declared(question, subject, declaration, cases, models, evaluation.vectors)
        if swap is not None:
            candidate, incumbent = models[1], models[0]
            results = [with_swap(one, candidate, incumbent, declaration.margin) for one in results]
        if gate is not None:
            results = [gate.judged(item, question, one, cases, evaluation) for one in results]
    return results


def _test(evaluation: Evaluation, group: Group) -> EvalTest:
    """The test that a group belongs to, for labellers that ask models in its name."""
    from pytest_convergence.panel import EvalTest

    case = group.cases[0]
    return EvalTest(
        evaluation=evaluation,
        nodeid=group.id,
        test_file=case.test_file,
        test_name=case.test_name,
        declaration=group.declaration,
        cases=group.cases,
    )


def _question(evaluation: Evaluation, group: Group, models: Sequence[str]) -> Question:
    from pytest_convergence.judging import Question

    declaration = group.declaration
    made_up = () if evaluation.recorded else tuple(n for n in models if n.startswith("sim/"))
    return Question(
        id=group.id,
        nodeid=group.id,
        metric=declaration.metric,
        labeller=evaluation.names.labeller(declaration.label),
        threshold=declaration.threshold,
        direction=declaration.direction,
        confidence=declaration.confidence,
        max_missing=declaration.max_missing,
        capability=group.capability,
        arm=group.arm,
        simulated=made_up,
        mapped=evaluation.mapped,
    )


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
    from pytest_convergence.rate_results import Outcome
    from pytest_convergence.rates import judge_rate

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
    from pytest_convergence.rate_results import Outcome
    from pytest_convergence.rates import judge_rate
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
