"""Are these two the same model? A two-sample test on responses to the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Any

from pytest_convergence.checks import Subject, require_models
from pytest_convergence.errors import SettingsError
from pytest_convergence.results import CheckResult, Verdict

if TYPE_CHECKING:
    from pytest_convergence.assertions import Responses
    from pytest_convergence.panel import Samples
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.representation import Represented
    from pytest_convergence.stats.permutation import PermutationTest


class SameModelResult(CheckResult, frozen=True, kw_only=True):
    """Whether two models' responses could come from one.

    Attributes
    ----------
    value
        The p value: how often two halves of one model would differ as much.
    first, second
        The models compared.
    test
        The statistic (mean squared maximum mean discrepancy over prompts), its mean under the
        null, and p; None where there is nothing to test.
    smallest_p
        The smallest p that these numbers of samples could have given.
    copies
        Models that gave one text n times on every prompt: to the test n copies are n samples.
    """

    first: str
    second: str
    test: PermutationTest | None
    smallest_p: float
    copies: tuple[str, ...] = ()


def assert_same_model(
    models: Responses,
    first: str,
    second: str,
    *,
    metric: str | Callable[..., Any] | None = None,
    label: str | Labeller | None = None,
    level: float = 0.05,
    permutations: int = 999,
) -> SameModelResult:
    """Nothing in the responses tells the two models apart.

    A permutation test: on each prompt the responses of both are put together and dealt out again.
    It passes where p is above ``level``. That is no proof that the models are the same, only that
    responses like these do not tell them apart: for "alike enough" assert convergence, or a rate
    difference within a bound.

    Parameters
    ----------
    models
        As for `assert_converges`; each model needs two responses to a prompt at least.
    first, second
        The two models.
    metric, label
        What is compared; the marker's by default. Measures of whole distributions (``hybrid``,
        ``js``, ``total-variation``) have no such test.
    level
        p above it passes, in (0, 1): a model compared with itself fails so often.
    permutations
        How many deals.

    Returns
    -------
    SameModelResult
        Frozen, with the test and the smallest p it could have reached.

    Raises
    ------
    ConvergenceFailure
        An ``AssertionError``: they differ, or so few samples could never show that they do.

    References
    ----------
    Gretton et al. 2012, "A kernel two-sample test"; Phipson and Smyth 2010 for the +1.
    """
    __tracebackhide__ = True
    from pytest_convergence.assertions import as_samples, conclude

    samples = as_samples(models)
    subject = Subject.of_samples(samples, "same-model", label=label, confidence=None)
    require_models(samples, (first, second), subject.nodeid)
    if not 0 < level < 1 or permutations < 1 / level:
        raise SettingsError(
            f"{subject.nodeid}: level {level} cannot be tested with {permutations} permutations",
            fix=["give a level such as 0.05 and at least 999 permutations"],
        )
    chosen = metric_of(samples, metric, label)
    result = _judge(subject, samples, (first, second), chosen, level, permutations)
    return conclude(result, samples.test)


def metric_of(
    samples: Samples, metric: str | Callable[..., Any] | None, label: str | Labeller | None
) -> str | Callable[..., Any]:
    """The metric of a check that compares responses: the one given, or the marker's.

    Raises
    ------
    SettingsError
        For a measure of whole distributions.
    """
    from pytest_convergence.represent.representation import PAIR_METRICS

    declaration = samples.test.declaration if samples.test else None
    chosen = metric or ("label" if label is not None else None)
    chosen = chosen or (declaration.metric if declaration else "embedding")
    if chosen in PAIR_METRICS:
        raise SettingsError(
            f"metric {chosen!r} compares whole distributions, not responses",
            fix=["give another metric=, for example 'embedding', 'normalized' or 'label'"],
        )
    return chosen


def _judge(
    subject: Subject,
    samples: Samples,
    pair: tuple[str, str],
    metric: str | Callable[..., Any],
    level: float,
    permutations: int,
) -> SameModelResult:
    from pytest_convergence.assertions import vectors_of
    from pytest_convergence.evidence import copies
    from pytest_convergence.represent.representation import represent
    from pytest_convergence.stats.permutation import same_model_test

    cases = samples.cases
    represented = represent(
        cases, pair, metric=metric, labeller=subject.labeller, vectors=vectors_of(samples.test)
    )
    question = subject.question(metric)
    families = [case.family for case in cases]
    test = same_model_test(
        represented.blocks,
        families=families,
        permutations=permutations,
        seed=question.seed,
    )
    counts = list(zip(*represented.counts.tolist(), strict=True))
    lowest = smallest_p(counts, families, permutations)
    verdict, reason = _verdict(test, lowest, level, _incomplete(represented, pair, subject))
    return SameModelResult(
        **subject.fields(
            "same-model", question.metric_name, cases=cases, models=pair, labels=represented.labels
        ),
        value=None if test is None else test.p,
        interval=None,
        threshold=level,
        direction="at_least",
        verdict=verdict,
        settled=True,
        passed=verdict == "met",
        reason=reason,
        first=pair[0],
        second=pair[1],
        test=test,
        smallest_p=lowest,
        copies=copies(cases, pair),
    )


def _verdict(
    test: PermutationTest | None, lowest: float, level: float, incomplete: str | None
) -> tuple[Verdict, str]:
    if incomplete is not None:
        return "incomplete", incomplete
    if test is None:
        return "undefined", "each model needs two responses to a prompt at least"
    if lowest > level:
        return "undefined", (
            f"so few samples give no p under {lowest:.3f}, so none could tell the models apart at "
            f"{level:g}: take more samples or prompts"
        )
    if test.p <= level:
        return "missed", f"p = {test.p:.3g}"
    return "met", f"p = {test.p:.3g}"


def _incomplete(represented: Represented, pair: Sequence[str], subject: Subject) -> str | None:
    for model, row in zip(pair, represented.blocks, strict=True):
        lacking = sum(1 for block in row if not len(block))
        if lacking == len(row) or lacking > subject.max_missing * len(row):
            return f"{model}: {lacking} of {len(row)} prompts have no usable response"
    return None


def smallest_p(
    counts: Sequence[Sequence[int]], families: Sequence[str], permutations: int
) -> float:
    """The smallest p that a two-sample permutation test of these sizes can give.

    One over the number of ways to deal the responses of every family; half of them look alike
    where both models have equally many. Families with equal counts are dealt once.

    Parameters
    ----------
    counts
        Usable responses of both models to each prompt.
    """
    deals = {
        (family, tuple(pair))
        for family, pair in zip(families, counts, strict=True)
        if min(pair) > 1
    }
    if not deals:
        return 1.0
    ways = sum(lgamma(a + b + 1) - lgamma(a + 1) - lgamma(b + 1) for _, (a, b) in deals)
    if all(a == b for _, (a, b) in deals):
        ways -= log(2)
    return max(1.0 / (1 + permutations), exp(-ways))
