"""Assertions on how often models answer in a certain way: one model is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_convergence.checks import (
    Subject,
    decide_bound,
    one_bound,
    require_labeller,
    require_models,
    settle_bound,
)
from pytest_convergence.errors import SettingsError
from pytest_convergence.evidence import Labels
from pytest_convergence.rate_results import Outcome, RateDifferenceResult, RateResult
from pytest_convergence.results import Bound, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_convergence.assertions import Responses
    from pytest_convergence.panel import Samples
    from pytest_convergence.represent.features import Label, Labeller
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.stats.rates import Rate
    from pytest_convergence.stats.verdicts import Decision

DEFAULT_LEVEL = 0.95

_WORDS: Mapping[str | None, Verdict] = {
    "converged": "met",
    "diverged": "missed",
    "inconclusive": "inconclusive",
    "undefined": "undefined",
    "incomplete": "incomplete",
}
_WORST_FIRST: tuple[Verdict | None, ...] = (
    "missed",
    "undefined",
    "incomplete",
    "inconclusive",
    "met",
    None,
)


def assert_rate(
    models: Responses,
    label: str | Labeller | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    value: str | Collection[str] | None = None,
    confidence: float | None = None,
) -> RateResult:
    """Each model, by itself, answers so often enough, or seldom enough.

    Parameters
    ----------
    models
        As for `assert_converges`; a panel of one is enough.
    label
        A labeller, or the name of one; the marker's by default.
    at_least, at_most
        The bound, in [0, 1]; one of the two. A body over the marker's ``prompts`` inherits the
        marker's.
    value
        The label that counts, or several; without it right answers count, where they are known.
    confidence
        For example .95: the bound of the interval decides, and a straddling one is inconclusive.

    Returns
    -------
    RateResult
        Frozen, with each model's rate and an interval that clusters by prompt (family).

    Raises
    ------
    ConvergenceFailure
        An ``AssertionError``: a model misses the bound, or its interval does not settle it.
    SettingsError
        For no bound or no labeller, or where no right answer is known and no ``value`` is given.

    Notes
    -----
    A response without a label is missing and counts neither way. A model that lacks more than
    ``max_missing`` of the prompts is incomplete: the test is skipped with the reason and the
    session exits non-zero.
    """
    __tracebackhide__ = True
    from pytest_convergence.assertions import as_samples, conclude

    samples = as_samples(models)
    subject = Subject.of_samples(samples, "rate", label=label, confidence=confidence)
    declaration = samples.test.declaration if samples.test else None
    if at_least is None and at_most is None and samples.group and declaration is not None:
        at_least, at_most = declaration.at_least, declaration.at_most
        value = declaration.value if value is None else value
    threshold, direction = one_bound(subject.nodeid, "assert_rate", at_least, at_most, 0.0)
    result = judge_rate(
        subject, samples.cases, samples.models, Outcome.of(value), threshold, direction
    )
    return conclude(result, samples.test)


def assert_rate_difference(
    models: Responses,
    first: str,
    second: str,
    label: str | Labeller | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    value: str | Collection[str] | None = None,
    confidence: float | None = None,
) -> RateDifferenceResult:
    """The first model's rate less the second's, paired by prompt, is within the bound.

    ``assert_rate_difference(models, "new", "old", at_least=-0.05)``: the new model is right at most
    five points less often. The other parameters are those of `assert_rate`, the bound in [-1, 1].
    """
    __tracebackhide__ = True
    from pytest_convergence.assertions import as_samples, conclude

    samples = as_samples(models)
    subject = Subject.of_samples(samples, "difference", label=label, confidence=confidence)
    require_models(samples, (first, second), subject.nodeid)
    threshold, direction = one_bound(
        subject.nodeid, "assert_rate_difference", at_least, at_most, -1.0
    )
    result = _judge_difference(
        subject, samples, (first, second), Outcome.of(value), threshold, direction
    )
    return conclude(result, samples.test)


def judge_rate(
    subject: Subject,
    cases: Sequence[SampledCase],
    models: Sequence[str],
    outcome: Outcome,
    threshold: float | None,
    direction: Bound,
) -> RateResult:
    """The rates of all models, and the verdict on the worst; without a threshold a report."""
    from pytest_convergence.represent.labels.judges import agreement_of_labels
    from pytest_convergence.represent.representation import label_responses

    labeller = require_labeller(subject.labeller, subject.nodeid, "assert_rate")
    labels = label_responses(cases, models, labeller)
    counts = [_counts(row, outcome) for row in labels]
    _require_known(counts, labels, outcome, subject.nodeid)
    rates = _rates(dict(zip(models, counts, strict=True)), cases, subject.confidence)
    decisions = {
        model: decide_bound(
            rates[model].rate if model in rates else None,
            rates[model].interval if model in rates else None,
            threshold=threshold,
            direction=direction,
            confidence=subject.confidence,
            incomplete=_lacks(row, subject.max_missing),
        )
        for model, row in zip(models, counts, strict=True)
    }
    deciding = _deciding(decisions, rates, direction)
    decision = decisions[deciding]
    rate = rates.get(deciding)
    incomplete = decision.verdict == "incomplete"
    return RateResult(
        **subject.fields("rate", _metric(labeller), cases=cases, models=models, labels=labels),
        value=rate.rate if rate else None,
        interval=rate.interval if rate else None,
        threshold=threshold,
        direction=direction,
        verdict=_WORDS.get(decision.verdict),
        settled=_settled(list(decisions.values())),
        passed=all(one.passed for one in decisions.values()),
        reason=f"{deciding}: {decision.reason}" if incomplete else decision.reason,
        settlement=settle_bound(decision, rate, threshold, rate.answers if rate else 0),
        values=outcome.values,
        deciding=deciding,
        rates=rates,
        verdicts={model: _WORDS.get(one.verdict) for model, one in decisions.items()},
        by_prompt=dict(zip(models, counts, strict=True)),
        judges=agreement_of_labels(labels),
    )


def _settled(decisions: Sequence[Decision]) -> bool:
    """Whether more responses could turn the verdict: one certain miss settles it."""
    if any(one.settled and not one.passed for one in decisions):
        return True
    return all(one.settled for one in decisions)


def _rates(
    counts: Mapping[str, Sequence[tuple[int, int]]],
    cases: Sequence[SampledCase],
    confidence: float | None,
) -> dict[str, Rate]:
    """The rate of each model that has a usable response."""
    from pytest_convergence.stats.rates import pass_rate

    sums = {model: _by_family(row, cases) for model, row in counts.items()}
    return {
        model: pass_rate(passed, total, level=confidence or DEFAULT_LEVEL)
        for model, (passed, total) in sums.items()
        if total.any()
    }


def _judge_difference(
    subject: Subject,
    samples: Samples,
    pair: tuple[str, str],
    outcome: Outcome,
    threshold: float,
    direction: Bound,
) -> RateDifferenceResult:
    from pytest_convergence.represent.representation import label_responses
    from pytest_convergence.stats.rates import rate_difference

    labeller = require_labeller(subject.labeller, subject.nodeid, "assert_rate_difference")
    cases = samples.cases
    labels = label_responses(cases, pair, labeller)
    counts = [_counts(row, outcome) for row in labels]
    _require_known(counts, labels, outcome, subject.nodeid)
    lacking = [(m, _lacks(row, subject.max_missing)) for m, row in zip(pair, counts, strict=True)]
    incomplete = next((f"{model}: {reason}" for model, reason in lacking if reason), None)
    sums = [_by_family(row, cases) for row in counts]
    difference = None
    if ((sums[0][1] > 0) & (sums[1][1] > 0)).any():
        difference = rate_difference(*sums[0], *sums[1], level=subject.confidence or DEFAULT_LEVEL)
    decision = decide_bound(
        difference.difference if difference else None,
        difference.interval if difference else None,
        threshold=threshold,
        direction=direction,
        confidence=subject.confidence,
        incomplete=incomplete,
        undefined=None if difference else "no prompt was answered by both models",
    )
    return RateDifferenceResult(
        **subject.fields("difference", _metric(labeller), cases=cases, models=pair, labels=labels),
        value=difference.difference if difference else None,
        interval=difference.interval if difference else None,
        threshold=threshold,
        direction=direction,
        verdict=_WORDS.get(decision.verdict),
        settled=decision.settled,
        passed=decision.passed,
        reason=decision.reason,
        settlement=settle_bound(decision, difference, threshold, int(sums[0][1].sum())),
        values=outcome.values,
        first=pair[0],
        second=pair[1],
        difference=difference,
        by_prompt=dict(zip(pair, counts, strict=True)),
    )


def _metric(labeller: Labeller) -> str:
    from pytest_convergence.judging import labeller_name

    return f"label:{labeller_name(labeller)}"


def _counts(row: Sequence[Sequence[Label]], outcome: Outcome) -> list[tuple[int, int]]:
    """Passing and usable responses of each prompt."""
    found = [[outcome.passes(label) for label in cell] for cell in row]
    return [
        (sum(one is True for one in cell), sum(one is not None for one in cell)) for cell in found
    ]


def _require_known(
    counts: Sequence[Sequence[tuple[int, int]]], labels: Labels, outcome: Outcome, where: str
) -> None:
    labelled = any(label.missing is None for row in labels for cell in row for label in cell)
    if outcome.values is None and labelled and not any(n for row in counts for _, n in row):
        seen = sorted({str(label.value) for row in labels for cell in row for label in cell})
        raise SettingsError(
            f"{where}: which label counts? no right answer is known",
            details=[f"labels found: {', '.join(seen[:8])}"],
            fix=[
                f"say value={seen[0]!r}",
                "or parametrize the answer together with the prompt, for a labeller that reads it",
            ],
        )


def _by_family(
    row: Sequence[tuple[int, int]], cases: Sequence[SampledCase]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The counts of each family's prompts added up: variants of a prompt are one prompt."""
    names = {name: i for i, name in enumerate(dict.fromkeys(case.family for case in cases))}
    passed, total = (np.zeros(len(names), dtype=np.int64) for _ in range(2))
    for case, (hits, usable) in zip(cases, row, strict=True):
        passed[names[case.family]] += hits
        total[names[case.family]] += usable
    return passed, total


def _lacks(row: Sequence[tuple[int, int]], max_missing: float) -> str | None:
    """Why a model has answered too few prompts to be judged, or None."""
    lacking = sum(1 for _, usable in row if not usable)
    if lacking == len(row) or lacking > max_missing * len(row):
        if len(row) == 1:
            return "no usable response"
        return f"{lacking} of {len(row)} prompts have no usable response"
    return None


def _deciding(
    decisions: Mapping[str, Decision], rates: Mapping[str, Rate], direction: Bound
) -> str:
    """The model whose verdict is that of the whole: the worst verdict, then the worst rate."""
    sign = 1.0 if direction == "at_least" else -1.0

    def badness(model: str) -> tuple[int, float]:
        rate = rates.get(model)
        order = _WORST_FIRST.index(_WORDS.get(decisions[model].verdict))
        return order, sign * rate.rate if rate else float("-inf")

    return min(decisions, key=badness)
