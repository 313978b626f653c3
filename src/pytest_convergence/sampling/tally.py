"""What was asked and answered, by model: counted where it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict

from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import Model
from pytest_convergence.sampling.plan import Unit

if TYPE_CHECKING:
    pass

_CHARACTERS_PER_TOKEN = 4
_ANSWER_TOKENS = 256
_SETTLED = 5


class ModelCount(Struct):
    """What sampling one model took.

    Attributes
    ----------
    calls
        Requests sent, retries included.
    retries
        Those that repeated a failed one.
    answers, failures
        Samples that were answered and that finally failed.
    unasked
        Samples not asked for, since the money ran out.
    cost
        US dollars: reported by the provider, else from the price library.
    unpriced
        Answers whose price nobody knows.
    served
        Answers by the model's name that the provider gave.
    rejected, ignored
        Decoding parameters that an error named, or that visibly had no effect.
    """

    calls: int = 0
    retries: int = 0
    answers: int = 0
    failures: int = 0
    unasked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    served: dict[str, int] = field(default_factory=dict)
    another: bool = False
    rejected: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, other: ModelCount) -> None:
        """Join the count of another process."""
        for name in (
            "calls",
            "retries",
            "answers",
            "failures",
            "unasked",
            "input_tokens",
            "output_tokens",
            "cost",
            "unpriced",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.served = dict(Counter(self.served) + Counter(other.served))
        self.another = self.another or other.another
        self.rejected = sorted({*self.rejected, *other.rejected})
        self.ignored = sorted({*self.ignored, *other.ignored})


class SamplingReport(Struct, frozen=True):
    """What sampling took, by model; reports of several processes add up."""

    by_model: Mapping[str, ModelCount] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> ModelCount:
        """All models together."""
        total = ModelCount()
        for count in self.by_model.values():
            total.add(count)
        return total

    @classmethod
    def merged(cls, reports: Iterable[SamplingReport]) -> SamplingReport:
        """The report of a run from those of its processes."""
        by_model: dict[str, ModelCount] = {}
        seconds = 0.0
        for report in reports:
            seconds = max(seconds, report.seconds)
            for name, count in report.by_model.items():
                by_model.setdefault(name, ModelCount()).add(count)
        return cls(dict(sorted(by_model.items())), seconds)

    def as_dict(self) -> dict[str, Any]:
        """In JSON types, for a worker to hand over."""
        counts = {name: asdict(count) for name, count in self.by_model.items()}
        return {"seconds": self.seconds, "by_model": counts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplingReport:
        """What :meth:`as_dict` gave."""
        counts = {name: ModelCount(**count) for name, count in values["by_model"].items()}
        return cls(counts, values["seconds"])


class Tally:
    """The counts of this process."""

    def __init__(self) -> None:
        self.by_model: dict[str, ModelCount] = {}
        self.in_flight = 0

    def of(self, model: Model) -> ModelCount:
        """The count of one model."""
        return self.by_model.setdefault(model.name, ModelCount())

    def begin(self, model: Model, *, again: bool) -> None:
        """A request is sent."""
        count = self.of(model)
        count.calls += 1
        count.retries += again
        self.in_flight += 1

    def end(self, model: Model) -> None:
        """A request is over, however it ended."""
        del model
        self.in_flight -= 1

    def answered(self, unit: Unit, response: Response, *, another: bool) -> None:
        """A sample was answered and kept."""
        count = self.of(unit.model)
        count.answers += 1
        count.input_tokens += response.usage.input_tokens or 0
        count.output_tokens += response.usage.output_tokens or 0
        if response.served_model:
            count.served[response.served_model] = count.served.get(response.served_model, 0) + 1
        count.another = count.another or another

    def ignored(self, model: Model, names: Iterable[str]) -> None:
        """Decoding parameters visibly had no effect."""
        count = self.of(model)
        count.ignored = sorted({*count.ignored, *names})

    def rejected(self, model: Model, names: Iterable[str]) -> None:
        """A provider's error named decoding parameters."""
        count = self.of(model)
        count.rejected = sorted({*count.rejected, *names})

    def mean_tokens(self, model: Model) -> float:
        """Tokens of one answered call, prompt and answer, as far as is known."""
        count = self.of(model)
        return (count.input_tokens + count.output_tokens) / max(count.answers, 1)

    def expected_tokens(self, unit: Unit) -> float:
        """Tokens that a call will probably take."""
        count = self.of(unit.model)
        if count.answers >= _SETTLED and count.output_tokens:
            answer = count.output_tokens / count.answers
        else:
            answer = assumed_tokens(unit)
        return prompt_tokens(unit) + answer


def assumed_tokens(unit: Unit) -> float:
    """Tokens of an answer before any was seen: ``max_tokens`` where it is small, else 256."""
    limit = unit.decoding.max_tokens if unit.decoding is not None else None
    return min(limit or _ANSWER_TOKENS, _ANSWER_TOKENS)


def prompt_tokens(unit: Unit) -> float:
    """A rough count of a request's tokens: four characters each."""
    return len(unit.request.body) / _CHARACTERS_PER_TOKEN


def tokens_of(answer: Response | None) -> float:
    """Tokens that one answer took, prompt included; none where there is no answer."""
    if answer is None:
        return 0.0
    return (answer.usage.input_tokens or 0) + (answer.usage.output_tokens or 0)
