"""What assertions on rates return."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from pytest_convergence.results import CheckResult, Verdict

if TYPE_CHECKING:
    from pytest_convergence.represent.features import Label
    from pytest_convergence.represent.labels.judges import JudgeAgreement
    from pytest_convergence.stats.rates import Rate, RateDifference


class Outcome(Struct, frozen=True):
    """Which answers count: those with one of the ``values``, or the right ones where it is None."""

    values: tuple[str, ...] | None

    @classmethod
    def of(cls, value: str | Collection[str] | None) -> Outcome:
        """From what an assertion or a marker was given."""
        if value is None:
            return cls(None)
        return cls((value,) if isinstance(value, str) else tuple(value))

    @property
    def name(self) -> str:
        """For messages: ``right answers``, ``full or partial``."""
        return "right answers" if self.values is None else " or ".join(self.values)

    def passes(self, label: Label) -> bool | None:
        """Whether a labelled response counts; None where it has no label or no known answer."""
        if label.missing is not None:
            return None
        return label.correct if self.values is None else label.value in self.values


class RateResult(CheckResult, frozen=True, kw_only=True):
    """How often each model answers so, and whether each is within the bound.

    ``value`` and ``interval`` are those of ``deciding``: of the models with the verdict of the
    whole, the one furthest on the wrong side.

    Attributes
    ----------
    values
        The labels that were counted; None where the right answers were.
    rates
        By model; a model without a usable response has none.
    verdicts
        By model.
    by_prompt
        ``by_prompt[model][i]`` of case i: passing and usable responses.
    judges
        How far several judges agree, where judges gave the labels.
    """

    values: tuple[str, ...] | None
    deciding: str
    rates: Mapping[str, Rate] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict | None] = field(default_factory=dict)
    by_prompt: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    judges: JudgeAgreement | None = None

    @property
    def outcome(self) -> Outcome:
        """Which answers were counted."""
        return Outcome(self.values)


class RateDifferenceResult(CheckResult, frozen=True, kw_only=True):
    """How much more often the first model answers so than the second, on the same prompts."""

    values: tuple[str, ...] | None
    first: str
    second: str
    difference: RateDifference | None
    by_prompt: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """Which answers were counted."""
        return Outcome(self.values)
