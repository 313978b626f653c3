"""What all checks share: how labels are made, bounds decided and results named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pytest_convergence.errors import SettingsError
from pytest_convergence.evidence import Labels, case_responses, missing_responses, sample_count
from pytest_convergence.results import Bound, CheckResult, Quantity

if TYPE_CHECKING:
    from pytest_convergence.declaration import Group
    from pytest_convergence.judging import Question
    from pytest_convergence.metrics.estimates import Interval
    from pytest_convergence.panel import EvalTest, Samples
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.stats.power import Settlement
    from pytest_convergence.stats.rates import Rate, RateDifference
    from pytest_convergence.stats.verdicts import Decision


class Subject(Struct, frozen=True):
    """What a check is about and where: all of a result that does not depend on the responses."""

    id: str
    nodeid: str
    labeller: Labeller | None
    confidence: float | None
    max_missing: float
    capability: str = ""
    arm: str = ""
    simulated: tuple[str, ...] = ()

    @classmethod
    def of_samples(
        cls,
        samples: Samples,
        quantity: Quantity,
        *,
        label: str | Labeller | None,
        confidence: float | None,
    ) -> Subject:
        """A check in the body of a test, or outside one."""
        from pytest_convergence.assertions import labeller_of, simulated

        test = samples.test
        declaration = test.declaration if test else None
        chosen = label if label is not None else declaration.label if declaration else None
        return cls(
            id=check_id(test, quantity),
            nodeid=test.nodeid if test else "assertion",
            labeller=labeller_of(test, chosen),
            confidence=confidence or (declaration.confidence if declaration else None),
            max_missing=declaration.max_missing if declaration else 0.1,
            capability=declaration.capability if declaration else "",
            simulated=simulated(test, samples.models),
        )

    @classmethod
    def of_group(
        cls,
        group: Group,
        quantity: Quantity,
        *,
        labeller: Labeller | None,
        simulated: tuple[str, ...],
    ) -> Subject:
        """A check that a group's marker asks for."""
        return cls(
            id=f"{group.id}#{quantity}",
            nodeid=group.id,
            labeller=labeller,
            confidence=group.declaration.confidence,
            max_missing=group.declaration.max_missing,
            capability=group.capability,
            arm=group.arm,
            simulated=simulated,
        )

    def question(self, metric: str | Callable[..., Any]) -> Question:
        """What a check asks that compares responses and has no threshold of its own."""
        from pytest_convergence.judging import Question

        return Question(
            id=self.id,
            nodeid=self.nodeid,
            metric=metric,
            labeller=self.labeller,
            threshold=None,
            direction="converges",
            confidence=None,
            max_missing=self.max_missing,
        )

    def fields(
        self,
        quantity: Quantity,
        metric: str,
        *,
        cases: Sequence[SampledCase],
        models: Sequence[str],
        labels: Labels,
    ) -> dict[str, Any]:
        """The fields of a result that every check fills alike."""
        missing = [
            [
                [label.missing for label in labels[m][p]]
                or [response.missing for response in case.responses[model]]
                for p, case in enumerate(cases)
            ]
            for m, model in enumerate(models)
        ]
        return {
            "id": self.id,
            "nodeid": self.nodeid,
            "quantity": quantity,
            "metric": metric,
            "confidence": self.confidence,
            "models": tuple(models),
            "samples": sample_count(cases, models),
            "missing": missing_responses(missing, cases, models),
            "cases": case_responses(missing, labels, cases, models),
            "capability": self.capability,
            "arm": self.arm,
            "simulated": self.simulated,
        }


def check_id(test: EvalTest | None, quantity: Quantity) -> str:
    """The test's node id with what is checked and a number: a test may check several things."""
    if test is None:
        return f"assertion#{quantity}-1"
    before = sum(isinstance(one, CheckResult) and one.quantity == quantity for one in test.results)
    return f"{test.nodeid}#{quantity}-{before + 1}"


def one_bound(
    where: str, name: str, at_least: float | None, at_most: float | None, low: float
) -> tuple[float, Bound]:
    """The one bound given, in [``low``, 1].

    Raises
    ------
    SettingsError
        Where both are given, or neither, or the bound is out of range.
    """
    if (at_least is None) == (at_most is None):
        raise SettingsError(
            f"{where}: {name} needs at_least or at_most"
            + ("" if at_least is None else ", not both"),
            fix=[f"{name}(…, at_least=0.9)"],
        )
    threshold = at_least if at_least is not None else at_most
    if threshold is None or not low <= threshold <= 1:
        raise SettingsError(
            f"{where}: {name} was given the bound {threshold!r}",
            fix=[f"give a number from {low:g} to 1"],
        )
    return float(threshold), "at_least" if at_least is not None else "at_most"


def decide_bound(
    value: float | None,
    interval: Interval | None,
    *,
    threshold: float | None,
    direction: Bound,
    confidence: float | None,
    incomplete: str | None = None,
    undefined: str | None = None,
) -> Decision:
    """A verdict on a bound, by the rule of `stats.verdicts.decide`: met, missed or why neither."""
    from msgspec.structs import replace

    from pytest_convergence.metrics.estimates import Interval
    from pytest_convergence.stats.verdicts import decide

    sign = 1.0 if direction == "at_least" else -1.0
    if interval is not None and sign < 0:
        interval = Interval(-interval.high, -interval.low, interval.level, interval.method)
    decision = decide(
        None if value is None else sign * value,
        interval,
        threshold=None if threshold is None else sign * threshold,
        direction="converges",
        confidence=confidence,
        undefined=undefined,
        incomplete=incomplete,
    )
    if decision.verdict == "inconclusive" and sign < 0 and interval is not None:
        low, high = -interval.high, -interval.low
        reason = (
            f"the {interval.level:.0%} interval [{low:.3f}, {high:.3f}] holds the bound "
            f"{threshold:g}"
        )
        return replace(decision, reason=reason)
    return decision


def settle_bound(
    decision: Decision, found: Rate | RateDifference | None, threshold: float | None, answers: int
) -> Settlement | None:
    """What would settle a bound that the interval straddles; None where it is settled.

    ``answers`` counts the responses to a single prompt, of which more would have to be taken.
    """
    if decision.settled or found is None or threshold is None:
        return None
    from pytest_convergence.beside import by_samples
    from pytest_convergence.stats.power import to_settle

    value = found.rate if hasattr(found, "rate") else found.difference
    if found.prompts == 1:
        return by_samples(value, found.interval, threshold, answers)
    return to_settle(value, found.interval, threshold=threshold, families=found.prompts)


def require_models(samples: Samples, wanted: Sequence[str], where: str) -> None:
    """Both models of a comparison are there and are two.

    Raises
    ------
    SettingsError
        Where one is not in the panel, or both are the same.
    """
    unknown = [name for name in wanted if name not in samples.models]
    if unknown:
        raise SettingsError(
            f"{where}: {unknown[0]!r} is not in the panel",
            details=[f"the panel: {', '.join(samples.models)}"],
            fix=["name a member, or add it with --convergence-models"],
        )
    if len(set(wanted)) < len(wanted):
        raise SettingsError(
            f"{where}: {wanted[0]!r} is compared with itself", fix=["name two different models"]
        )


def require_labeller(labeller: Labeller | None, where: str, name: str) -> Labeller:
    """The labeller, or an error that says how to give one.

    Raises
    ------
    SettingsError
        Where neither the assertion nor the marker names one.
    """
    if labeller is None:
        raise SettingsError(
            f"{where}: {name} needs a labeller",
            details=["a rate is the share of responses with a label"],
            fix=[f'{name}(models, "refusal", value="full", at_most=0.1)', "or the marker's label="],
        )
    return labeller
