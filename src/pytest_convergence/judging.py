"""Responses become a result: represent, summarise, estimate, decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_convergence.results import CaseResponses, ConvergenceResult, MissingResponse, Quantity

if TYPE_CHECKING:
    from pytest_convergence.declaration import Direction
    from pytest_convergence.metrics.estimates import GroupEstimate, PromptEstimate
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.representation import Represented, SampledCase, Vectors

DEFAULT_LEVEL = 0.95


@dataclass(frozen=True)
class Question:
    """What is asked of the responses: everything a verdict depends on but the responses."""

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

    @property
    def metric_name(self) -> str:
        """The metric as messages, the run file and the baseline name it."""
        if self.metric == "label":
            return f"label:{labeller_name(self.labeller)}"
        return self.metric if isinstance(self.metric, str) else _callable_name(self.metric)

    @property
    def seed(self) -> int:
        """Fixed by the case, so that results depend on neither order nor worker."""
        return int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:8], "big")


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
    from pytest_convergence.metrics.convergence import estimate_prompt
    from pytest_convergence.represent.representation import represent

    represented = represent(
        [case], models, metric=question.metric, labeller=question.labeller, vectors=vectors
    )
    lacking = [m for m, row in zip(models, represented.blocks, strict=True) if not len(row[0])]
    estimate = None
    if len(models) - len(lacking) >= 2:
        features = {
            model: row[0]
            for model, row in zip(models, represented.blocks, strict=True)
            if len(row[0])
        }
        estimate = estimate_prompt(
            features, confidence=question.confidence or DEFAULT_LEVEL, seed=question.seed
        )
    incomplete = None
    if lacking:
        incomplete = f"no usable response from {_names(lacking)}"
    return _result(question, "similarity", estimate, represented, [case], models, incomplete)


def judge_group(
    question: Question, cases: Sequence[SampledCase], models: Sequence[str], vectors: Vectors
) -> ConvergenceResult:
    """The score of a panel over a group's prompts, compared with the threshold."""
    from dataclasses import replace

    from pytest_convergence.metrics.convergence import estimate_group
    from pytest_convergence.metrics.summaries import Summaries
    from pytest_convergence.represent.representation import represent

    represented = represent(
        cases, models, metric=question.metric, labeller=question.labeller, vectors=vectors
    )
    lacking = _lacking(represented, models, question.max_missing)
    present = [index for index, model in enumerate(models) if model not in lacking]
    estimate = None
    if len(present) >= 2:
        summaries = Summaries.from_features(
            [represented.blocks[index] for index in present],
            models=[models[index] for index in present],
            prompts=[case.prompt_id for case in cases],
            families=[case.family for case in cases],
        )
        estimate = estimate_group(
            summaries, confidence=question.confidence or DEFAULT_LEVEL, seed=question.seed
        )
        estimate = replace(estimate, identical=represented.identical)
    incomplete = None
    if lacking:
        counts = ", ".join(f"{model} {count}" for model, count in list(lacking.items())[:6])
        more = f" and {len(lacking) - 6} more models" if len(lacking) > 6 else ""
        incomplete = (
            f"more than {question.max_missing:.0%} of {len(cases)} prompts have no usable "
            f"response from: {counts}{more}"
        )
    return _result(question, "score", estimate, represented, cases, models, incomplete)


def _lacking(represented: Represented, models: Sequence[str], max_missing: float) -> dict[str, int]:
    """Models that lack too many prompts, with how many."""
    result = {}
    for model, row in zip(models, represented.blocks, strict=True):
        count = sum(1 for block in row if not len(block))
        if count > max_missing * len(row) or count == len(row):
            result[model] = count
    return result


def _names(models: Sequence[str]) -> str:
    shown = ", ".join(models[:6])
    return shown if len(models) <= 6 else f"{shown} and {len(models) - 6} more"


def _result(
    question: Question,
    quantity: Quantity,
    estimate: PromptEstimate | GroupEstimate | None,
    represented: Represented,
    cases: Sequence[SampledCase],
    models: Sequence[str],
    incomplete: str | None,
) -> ConvergenceResult:
    from pytest_convergence.metrics.estimates import GroupEstimate
    from pytest_convergence.stats.verdicts import decide

    group = isinstance(estimate, GroupEstimate)
    value = (
        (estimate.score if isinstance(estimate, GroupEstimate) else estimate.similarity)
        if estimate
        else None
    )
    undefined = estimate.undefined if isinstance(estimate, GroupEstimate) else None
    decision = decide(
        value,
        estimate.interval if estimate else None,
        threshold=question.threshold,
        direction=question.direction,
        confidence=question.confidence,
        undefined=undefined,
        incomplete=incomplete,
        unanimous=bool(group and estimate and estimate.identical and question.metric == "label"),
    )
    return ConvergenceResult(
        id=question.id,
        nodeid=question.nodeid,
        quantity=quantity,
        value=value,
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
        samples=max((len(case.responses[m]) for case in cases for m in models), default=0),
        estimate=estimate,
        missing=tuple(_missing(represented, cases, models)),
        cases=tuple(
            _case_responses(represented, position, case, models)
            for position, case in enumerate(cases)
        ),
        capability=question.capability,
        arm=question.arm,
        accuracy=_accuracy(represented, models),
        copies=_copies(cases, models),
        simulated=question.simulated,
    )


def _missing(
    represented: Represented, cases: Sequence[SampledCase], models: Sequence[str]
) -> list[MissingResponse]:
    return [
        MissingResponse(model, case.prompt_id, sample, why.kind, why.reason)
        for model, row in zip(models, represented.missing, strict=True)
        for case, cell in zip(cases, row, strict=True)
        for sample, why in enumerate(cell)
        if why is not None
    ]


def _case_responses(
    represented: Represented, position: int, case: SampledCase, models: Sequence[str]
) -> CaseResponses:
    usable = {
        model: tuple(why is None for why in row[position])
        for model, row in zip(models, represented.missing, strict=True)
    }
    labels = {
        model: tuple(row[position])
        for model, row in zip(models, represented.labels, strict=True)
        if row[position]
    }
    return CaseResponses(
        id=case.id,
        nodeid=case.nodeid,
        prompt_id=case.prompt_id,
        prompt=case.prompt,
        family=case.family,
        responses={model: case.responses[model] for model in models},
        usable=usable,
        labels=labels,
    )


def _accuracy(represented: Represented, models: Sequence[str]) -> Mapping[str, float]:
    """Share of right answers by model, each prompt counting alike; only where answers are known."""
    result = {}
    for model, row in zip(models, represented.labels, strict=True):
        shares = []
        for cell in row:
            known = [label.correct for label in cell if label.correct is not None]
            if known:
                shares.append(sum(known) / len(known))
        if shares:
            result[model] = sum(shares) / len(shares)
    return result


def _copies(cases: Sequence[SampledCase], models: Sequence[str]) -> tuple[str, ...]:
    """Models that gave one text n times on every prompt: n copies are not n samples."""
    flagged = []
    for model in models:
        cells = [[r.text for r in case.responses[model] if r.missing is None] for case in cases]
        several = [cell for cell in cells if len(cell) > 1]
        if several and all(len(set(cell)) == 1 for cell in several):
            flagged.append(model)
    return tuple(flagged)
