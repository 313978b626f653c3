"""May this model replace that one on these prompts? Equivalence within a margin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec.structs import replace

from pytest_convergence.errors import SettingsError
from pytest_convergence.results import ConvergenceResult, Result

if TYPE_CHECKING:
    from pytest_convergence.assertions import Responses
    from pytest_convergence.judging import Question
    from pytest_convergence.panel import Samples
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.settings import Settings

SwapVerdict: TypeAlias = Literal["equivalent", "not equivalent", "undecided"]
ALPHA = 0.05
DEFAULT_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Swap:
    """What two one-sided tests say of a candidate and an incumbent.

    Attributes
    ----------
    shortfall
        1 minus the score of the two: by how much they are less alike than each is to itself, on
        the scale where answers to different prompts are 1 apart. None where undefined.
    low, high
        Its interval of level 1 - 2 alpha = .90.
    margin
        The largest shortfall that does not matter, chosen before looking.
    """

    candidate: str
    incumbent: str
    verdict: SwapVerdict
    margin: float
    shortfall: float | None
    low: float | None
    high: float | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def check_swap(settings: Settings) -> None:
    """A candidate needs an incumbent, and another.

    Raises
    ------
    SettingsError
        Where it has none, or both are the same model.
    """
    if settings["incumbent"] is None:
        raise SettingsError(
            "--convergence-candidate needs an incumbent",
            fix=["add --convergence-incumbent=MODEL: the model that would be replaced"],
        )
    if settings["candidate"] == settings["incumbent"]:
        raise SettingsError(
            f"candidate and incumbent are both {settings['candidate']}",
            fix=["name two models"],
        )


def asked_of(question: Question) -> Question:
    """The question as equivalence asks it: no threshold, an interval of level 1 - 2 alpha."""
    return replace(question, threshold=None, confidence=1 - 2 * ALPHA)


def with_swap(result: Result, candidate: str, incumbent: str, margin: float) -> Result:
    """A score of the two with the verdict on the swap; a rate is left as it is."""
    if not isinstance(result, ConvergenceResult) or result.verdict == "incomplete":
        return result
    swap = judge_swap(result, candidate, incumbent, margin)
    return replace(result, swap=swap, passed=swap.verdict == "equivalent")


def judge_swap(result: ConvergenceResult, candidate: str, incumbent: str, margin: float) -> Swap:
    """What the score's interval says about equivalence within ``margin``.

    The score lies above 1 - margin with confidence: equivalent. Below: not equivalent. An interval
    of level 1 - 2 alpha makes this two one-sided tests at level alpha (Schuirmann 1987). A score
    that is undefined because all answers are the same is equivalent where a share ``margin`` of
    other prompts could hardly have been missed: (1 - margin)^families < alpha.
    """
    from pytest_convergence.metrics.estimates import GroupEstimate, Interval
    from pytest_convergence.stats.equivalence import equivalence_verdict

    value, interval = result.value, result.interval
    if value is not None and interval is not None:
        apart = Interval(1 - interval.high, 1 - interval.low, interval.level, interval.method)
        verdict = equivalence_verdict(apart, margin)
        return Swap(candidate, incumbent, verdict, margin, 1 - value, apart.low, apart.high)
    estimate = result.estimate
    if isinstance(estimate, GroupEstimate) and estimate.identical:
        unseen = 1 - ALPHA ** (1 / estimate.families)
        verdict = "equivalent" if unseen < margin else "undecided"
        why = f"all answers are the same on {estimate.families} families of prompts"
        return Swap(candidate, incumbent, verdict, margin, 0.0, 0.0, unseen, why)
    reason = f"the score is undefined: {result.reason}"
    return Swap(candidate, incumbent, "undecided", margin, None, None, None, reason)


def assert_equivalent(
    models: Responses,
    candidate: str,
    incumbent: str,
    *,
    margin: float | None = None,
    metric: str | Callable[..., Any] | None = None,
    label: str | Labeller | None = None,
) -> ConvergenceResult:
    """The candidate may replace the incumbent: they are as alike as each is to itself.

    Parameters
    ----------
    models
        The ``models`` fixture of a test whose marker declares ``prompts``, or what
        ``models.sample({id: prompt, …})`` returned.
    candidate, incumbent
        Two members of the panel.
    margin
        How far the score of the two may lie below 1, in (0, 1); the marker's where not given,
        which is .05 by default.
    metric, label
        Put over the marker's.

    Returns
    -------
    ConvergenceResult
        The score of the two with its .90 interval; ``result.swap`` has the verdict.

    Raises
    ------
    ConvergenceFailure
        Not equivalent, or undecided: then more prompts decide.
    SettingsError
        For a single prompt, a model that is not in the panel, or a margin out of range.
    """
    __tracebackhide__ = True
    from pytest_convergence.assertions import as_samples, conclude, vectors_of
    from pytest_convergence.judging import judge_group

    samples = as_samples(models)
    where = samples.test.nodeid if samples.test else "assertion"
    _check(samples.models, candidate, incumbent, where, group=samples.group)
    declared = samples.test.declaration.margin if samples.test else DEFAULT_MARGIN
    chosen = declared if margin is None else margin
    if not 0 < chosen < 1:
        raise SettingsError(
            f"{where}: the margin {chosen!r} is not between 0 and 1", fix=["give margin=0.05"]
        )
    pair = (incumbent, candidate)
    question = _question(samples, pair, metric, label)
    result = judge_group(question, samples.cases, pair, vectors_of(samples.test))
    concluded = with_swap(result, candidate, incumbent, chosen)
    assert isinstance(concluded, ConvergenceResult)
    return conclude(concluded, samples.test)


def _question(
    samples: Samples,
    pair: tuple[str, str],
    metric: str | Callable[..., Any] | None,
    label: str | Labeller | None,
) -> Question:
    from pytest_convergence.assertions import labeller_of, simulated
    from pytest_convergence.declaration import Declaration
    from pytest_convergence.judging import Question

    test = samples.test
    declared = test.declaration if test else Declaration()
    where = test.nodeid if test else "assertion"
    return asked_of(
        Question(
            id=f"{where}#swap",
            nodeid=where,
            metric=metric or ("label" if label is not None else declared.metric),
            labeller=labeller_of(test, label if label is not None else declared.label),
            threshold=None,
            direction="converges",
            confidence=None,
            max_missing=declared.max_missing,
            capability=declared.capability,
            simulated=simulated(test, pair),
        )
    )


def _check(
    models: Sequence[str], candidate: str, incumbent: str, where: str, *, group: bool
) -> None:
    if not group:
        raise SettingsError(
            f"{where}: one prompt cannot say whether a model may be replaced",
            details=["equivalence is a statement about prompts like these, so it needs several"],
            fix=[
                "give the marker prompts={id: text}, or sample several: models.sample({id: text})",
                "or judge the test's group: --convergence-candidate and --convergence-incumbent",
            ],
        )
    for name in (candidate, incumbent):
        if name not in models:
            raise SettingsError(
                f"{where}: {name!r} is not in the panel",
                details=[f"the panel: {', '.join(models)}"],
                fix=["name a member, or add it with --convergence-models"],
            )
    if candidate == incumbent:
        raise SettingsError(
            f"{where}: candidate and incumbent are both {candidate!r}", fix=["name two models"]
        )
