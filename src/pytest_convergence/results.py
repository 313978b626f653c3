"""What an assertion returns and raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    from pytest_convergence.baseline.decision import Decision
    from pytest_convergence.declaration import Direction
    from pytest_convergence.metrics.confounds import Confounds
    from pytest_convergence.metrics.estimates import GroupEstimate, Interval, PromptEstimate
    from pytest_convergence.metrics.panel_agreement import PanelAgreement
    from pytest_convergence.models.response import Response
    from pytest_convergence.represent.features import Label
    from pytest_convergence.represent.labels.judges import JudgeAgreement
    from pytest_convergence.stats.power import Settlement
    from pytest_convergence.swap import Swap

Verdict: TypeAlias = Literal[
    "converged", "diverged", "met", "missed", "inconclusive", "undefined", "incomplete"
]
Quantity: TypeAlias = Literal["similarity", "score", "rate", "difference", "same-model", "groups"]
Bound: TypeAlias = Literal["at_least", "at_most"]
Place: TypeAlias = tuple[float, float, int]


class MissingResponse(Struct, frozen=True):
    """One response that could not be used, and why."""

    model: str
    prompt_id: str
    sample: int
    kind: str
    reason: str


class CaseResponses(Struct, frozen=True):
    """The responses of a panel to one prompt, with what each representation made of them.

    ``usable[model][i]`` says whether sample i entered the numbers; ``labels`` is empty where no
    labeller was asked. ``places[model][i]`` is where sample i lies among the others, as x, y and
    the number of its cluster (`metrics.response_map`); empty where the metric has no vectors.
    """

    id: str
    nodeid: str
    prompt_id: str
    prompt: str
    family: str
    responses: Mapping[str, Sequence[Response]]
    usable: Mapping[str, Sequence[bool]]
    labels: Mapping[str, Sequence[Label]] = field(default_factory=dict)
    places: Mapping[str, Sequence[Place | None]] = field(default_factory=dict)


class ConvergenceResult(Struct, frozen=True):
    """What was found, for one prompt (a similarity) or for a group (a score).

    Attributes
    ----------
    quantity
        ``"similarity"`` for one prompt, ``"score"`` for a group: what ``threshold`` is compared
        with.
    value
        The number compared, in [-1, 1] for similarities; None where it is undefined.
    verdict
        converged, diverged, inconclusive, undefined or incomplete; None where nothing was
        asserted (a group without a threshold).
    settled
        False where the estimate decided although the interval straddles the threshold.
    passed
        Whether the asserted direction holds.
    estimate
        The whole estimate with its matrices, or None where too little was usable.
    accuracy
        Share of right answers by model where the cases know the answer. Agreement is not
        correctness.
    copies
        Models whose samples are all identical on every prompt: n copies are not n samples.
    gate
        What a group's comparison with the baseline found, where there is one.
    swap
        Whether the candidate may replace the incumbent, where that was asked.
    judges
        How far several judges agree, where judges gave the labels.
    agreement
        Of a group whose responses have labels: prevalence, agreement raw and corrected for
        chance, and how often two models are wrong alike.
    confounds
        Of a group compared by its texts: how much of the similarity length and format explain.
    settlement
        Where the interval straddles the threshold: how many more prompts or samples would settle
        it, and the smallest difference that these could tell.
    """

    id: str
    nodeid: str
    quantity: Quantity
    value: float | None
    interval: Interval | None
    threshold: float | None
    direction: Direction
    verdict: Verdict | None
    settled: bool
    passed: bool
    reason: str
    metric: str
    confidence: float | None
    models: tuple[str, ...]
    samples: int
    estimate: PromptEstimate | GroupEstimate | None
    missing: tuple[MissingResponse, ...]
    cases: tuple[CaseResponses, ...]
    capability: str = ""
    arm: str = ""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    simulated: tuple[str, ...] = ()
    gate: Decision | None = None
    swap: Swap | None = None
    judges: JudgeAgreement | None = None
    agreement: PanelAgreement | None = None
    confounds: Confounds | None = None
    settlement: Settlement | None = None

    @property
    def similarity(self) -> float | None:
        """Mean similarity between different models."""
        return None if self.estimate is None else self.estimate.similarity

    @property
    def within(self) -> float | None:
        """Mean similarity of each model with itself, or None where each has one sample."""
        return None if self.estimate is None else self.estimate.within

    @property
    def score(self) -> float | None:
        """The group's score, or None for one prompt or where it is undefined."""
        return self.value if self.quantity == "score" else None

    def __bool__(self) -> bool:
        return self.passed


class CheckResult(Struct, frozen=True, kw_only=True):
    """What an assertion about something else than convergence found: a rate, a difference.

    The fields that it shares with `ConvergenceResult` mean the same. Every check is one of the
    classes made of this one, which add the numbers of their kind.

    Attributes
    ----------
    value, interval
        The number that decided (of several models: the one furthest on the wrong side).
    threshold, direction
        The bound asserted, and whether the value must be at least or at most that.
    verdict
        met, missed, inconclusive, undefined or incomplete; None where nothing was asserted.
    settlement, gate
        As of a `ConvergenceResult`; of checks the gate compares rates that a marker asks for.
    """

    id: str
    nodeid: str
    quantity: Quantity
    value: float | None
    interval: Interval | None
    threshold: float | None
    direction: Bound
    verdict: Verdict | None
    settled: bool
    passed: bool
    reason: str
    metric: str
    confidence: float | None
    models: tuple[str, ...]
    samples: int
    missing: tuple[MissingResponse, ...]
    cases: tuple[CaseResponses, ...]
    capability: str = ""
    arm: str = ""
    simulated: tuple[str, ...] = ()
    settlement: Settlement | None = None
    gate: Decision | None = None

    def __bool__(self) -> bool:
        return self.passed


Result: TypeAlias = ConvergenceResult | CheckResult


class ConvergenceFailure(AssertionError):
    """An assertion did not hold; ``result`` has the numbers."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result
