"""Responses become a result: represent, summarise, estimate, decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pytest_convergence.evidence import (
    accuracy,
    case_responses,
    copies,
    missing_responses,
    names,
    sample_count,
)
from pytest_convergence.garbage import collector_paused
from pytest_convergence.results import ConvergenceResult, Quantity

if TYPE_CHECKING:
    from pytest_convergence.declaration import Direction
    from pytest_convergence.metrics.confounds import Confounds
    from pytest_convergence.metrics.estimates import GroupEstimate, PromptEstimate
    from pytest_convergence.metrics.panel_agreement import PanelAgreement
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.labels.judges import JudgeAgreement
    from pytest_convergence.represent.representation import Represented, SampledCase, Vectors
    from pytest_convergence.results import CaseResponses
    from pytest_convergence.stats.verdicts import Decision

DEFAULT_LEVEL = 0.95

# Metrics whose features only say whether two responses are the same: nothing to lay out.
_WITHOUT_VECTORS = ("label", "exact", "normalized", "js", "total-variation")


class Question(Struct, frozen=True):
    """What is asked of the responses: everything a verdict depends on but the responses.

    ``mapped`` asks for a map of each prompt's responses besides, which only a page shows.
    """

    id: str
    nodeid: str
    metric: str | Callable[..., Any]
    labeller: Labeller | None
    threshold: float | None
    direction: Direction
    confidence: float | None
    max_missing: float
    capability: str = ""
    arm: str = ""
    simulated: tuple[str, ...] = ()
    mapped: bool = False

    @property
    def metric_name(self) -> str:
        """The metric as messages, the run file and the baseline name it."""
        if self.metric == "label":
            return f"label:{labeller_name(self.labeller)}"
        if isinstance(self.metric, str):
            return self.metric
        return getattr(self.metric, "name", None) or _callable_name(self.metric)

    @property
    def seed(self) -> int:
        """Fixed by the test, so that results depend on neither order nor worker.

        A test with all prompts and the group item behind it ask the same, and hear the same.
        """
        test = self.id.partition("[")[0].partition("#")[0]
        return int.from_bytes(hashlib.sha256(test.encode()).digest()[:8], "big")


def labeller_name(labeller: Labeller | None) -> str:
    """A labeller's name with its version, for messages and baselines."""
    if labeller is None:
        return "none"
    name = getattr(labeller, "name", None)
    if name is None:
        return _callable_name(labeller)
    version = getattr(labeller, "version", None)
    return f"{name}@{version}" if version else str(name)


def _callable_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '?')}.{name}"


def judge_prompt(
    question: Question, case: SampledCase, models: Sequence[str], vectors: Vectors
) -> ConvergenceResult:
    """The similarity of a panel on one prompt, compared with the threshold."""
    from pytest_convergence.estimating import prompt_estimate
    from pytest_convergence.represent.representation import represent

    cases = [case]
    represented = represent(
        cases, models, metric=question.metric, labeller=question.labeller, vectors=vectors
    )
    lacking = [m for m, row in zip(models, represented.blocks, strict=True) if not len(row[0])]
    estimate = None
    if len(models) - len(lacking) >= 2:
        estimate = prompt_estimate(question, represented, models)
    incomplete = f"no usable response from {names(lacking)}" if lacking else None
    kept = _responses(question, represented, cases, models)
    return _result(question, "similarity", estimate, represented, cases, kept, models, incomplete)


@collector_paused()
def judge_group(
    question: Question, cases: Sequence[SampledCase], models: Sequence[str], vectors: Vectors
) -> ConvergenceResult:
    """The score of a panel over a group's prompts, compared with the threshold."""
    findings = _find(question, cases, models, vectors)
    represented, lacking = findings.represented, findings.lacking
    incomplete = None
    if lacking:
        counts = ", ".join(f"{model} {count}" for model, count in list(lacking.items())[:6])
        more = f" and {len(lacking) - 6} more models" if len(lacking) > 6 else ""
        incomplete = (
            f"more than {question.max_missing:.0%} of {len(cases)} prompts have no usable "
            f"response from: {counts}{more}"
        )
    estimate = findings.estimate
    result = _result(
        question, "score", estimate, represented, cases, findings.responses, models, incomplete
    )
    return replace(result, agreement=findings.agreement, confounds=findings.confounds)


class _Findings(Struct, frozen=True, eq=False):
    """What is found of a group, whatever threshold it is compared with."""

    represented: Represented
    lacking: dict[str, int]
    estimate: GroupEstimate | None
    agreement: PanelAgreement | None
    confounds: Confounds | None
    responses: tuple[CaseResponses, ...]


# What was asked last and what came of it: a group item follows the test with all its prompts. The
# cases are kept with it, so that no others can take their places in memory.
_latest: list[tuple[tuple[Any, ...], Sequence[SampledCase], _Findings]] = []


def _find(
    question: Question, cases: Sequence[SampledCase], models: Sequence[str], vectors: Vectors
) -> _Findings:
    """Features, who lacks too many of them, the estimate of the others, and what is beside it."""
    from pytest_convergence.beside import label_agreement, text_confounds
    from pytest_convergence.estimating import group_estimate
    from pytest_convergence.represent.representation import represent

    asked = (
        *(question.metric, question.labeller, question.confidence, question.max_missing),
        *(question.mapped, question.seed, tuple(models), vectors, [id(case) for case in cases]),
    )
    if _latest and _latest[0][0] == asked:
        return _latest[0][2]
    represented = represent(
        cases, models, metric=question.metric, labeller=question.labeller, vectors=vectors
    )
    lacking = _lacking(represented, models, question.max_missing)
    present = [index for index, model in enumerate(models) if model not in lacking]
    estimate = None
    if len(present) >= 2:
        estimate = group_estimate(question, represented, cases, models, present)
    findings = _Findings(
        represented,
        lacking,
        estimate,
        label_agreement(represented.labels, models),
        text_confounds(question, represented, cases),
        _responses(question, represented, cases, models),
    )
    _latest[:] = [(asked, cases, findings)]
    return findings


def representation_of(
    question: Question, cases: Sequence[SampledCase], models: Sequence[str], vectors: Vectors
) -> Represented:
    """The features that a group was just judged by, made again only where others came between."""
    return _find(question, cases, models, vectors).represented


def forget() -> None:
    """Let go of what was judged last; called when a run has ended."""
    _latest.clear()


def _responses(
    question: Question,
    represented: Represented,
    cases: Sequence[SampledCase],
    models: Sequence[str],
) -> tuple[CaseResponses, ...]:
    """What the judged responses were, and their maps where a page will show them."""
    mapped = question.mapped and question.metric not in _WITHOUT_VECTORS
    return case_responses(
        represented.missing,
        represented.labels,
        cases,
        models,
        represented.blocks if mapped else None,
    )


def _lacking(represented: Represented, models: Sequence[str], max_missing: float) -> dict[str, int]:
    """Models that lack too many prompts, with how many."""
    result = {}
    for model, row in zip(models, represented.blocks, strict=True):
        count = sum(1 for block in row if not len(block))
        if count > max_missing * len(row) or count == len(row):
            result[model] = count
    return result


def _agreement_of_judges(represented: Represented) -> JudgeAgreement | None:
    if not any(label.votes for row in represented.labels for cell in row for label in cell):
        return None
    from pytest_convergence.represent.labels.judges import agreement_of_labels

    return agreement_of_labels(represented.labels)


def _value(estimate: PromptEstimate | GroupEstimate | None) -> float | None:
    """What is compared with the threshold: the score of a group, the similarity of a prompt."""
    from pytest_convergence.metrics.estimates import GroupEstimate

    if estimate is None:
        return None
    return estimate.score if isinstance(estimate, GroupEstimate) else estimate.similarity


def _decision(
    question: Question,
    estimate: PromptEstimate | GroupEstimate | None,
    incomplete: str | None,
) -> Decision:
    from pytest_convergence.metrics.estimates import GroupEstimate
    from pytest_convergence.stats.verdicts import decide

    group = estimate if isinstance(estimate, GroupEstimate) else None
    return decide(
        _value(estimate),
        estimate.interval if estimate else None,
        threshold=question.threshold,
        direction=question.direction,
        confidence=question.confidence,
        undefined=group.undefined if group else None,
        incomplete=incomplete,
        unanimous=bool(group and group.identical and question.metric == "label"),
    )


def _result(
    question: Question,
    quantity: Quantity,
    estimate: PromptEstimate | GroupEstimate | None,
    represented: Represented,
    cases: Sequence[SampledCase],
    responses: tuple[CaseResponses, ...],
    models: Sequence[str],
    incomplete: str | None,
) -> ConvergenceResult:
    from pytest_convergence.beside import settlement

    decision = _decision(question, estimate, incomplete)
    return ConvergenceResult(
        id=question.id,
        nodeid=question.nodeid,
        quantity=quantity,
        value=_value(estimate),
        interval=estimate.interval if estimate else None,
        threshold=question.threshold,
        direction=question.direction,
        verdict=decision.verdict,
        settled=decision.settled,
        passed=decision.passed,
        reason=decision.reason,
        metric=question.metric_name,
        confidence=question.confidence,
        models=tuple(models),
        samples=sample_count(cases, models),
        estimate=estimate,
        missing=missing_responses(represented.missing, cases, models),
        cases=responses,
        capability=question.capability,
        arm=question.arm,
        accuracy=accuracy(represented.labels, models),
        copies=copies(cases, models),
        simulated=question.simulated,
        judges=_agreement_of_judges(represented),
        settlement=settlement(question, estimate, represented, cases) if not incomplete else None,
    )
