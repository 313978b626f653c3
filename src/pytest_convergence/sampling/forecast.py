"""What sampling a plan would take: calls, tokens and money by model, without a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_convergence.cassettes import Recorded
from pytest_convergence.held_cassettes import Found
from pytest_convergence.models.response import Usage
from pytest_convergence.models.wire import Model
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.plan import Unit
from pytest_convergence.sampling.prices import price_of
from pytest_convergence.sampling.sampler import is_open
from pytest_convergence.sampling.settings import SamplingSettings
from pytest_convergence.sampling.tally import assumed_tokens, prompt_tokens

_LEARNT_FROM = 50


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """What one model would take.

    Attributes
    ----------
    samples, calls
        All samples of the plan; those that are not recorded and would be asked for.
    input_tokens, output_tokens
        Expected for these calls: of a prompt one for four characters; of an answer the mean of
        the model's recorded ones, else ``max_tokens`` up to 256, else 256.
    cost
        US dollars, or None where nobody knows the price.
    price
        Where the price is from (see :class:`~pytest_convergence.sampling.prices.Price`).
    """

    model: str
    samples: int
    calls: int
    input_tokens: float
    output_tokens: float
    cost: float | None
    price: str


@dataclass
class _Sums:
    model: Model
    samples: int = 0
    calls: int = 0
    inputs: float = 0.0
    assumed: float = 0.0
    learnt: list[int] = field(default_factory=list)

    @property
    def outputs(self) -> float:
        if self.learnt:
            return self.calls * sum(self.learnt) / len(self.learnt)
        return self.assumed


def forecast(
    plan: Sequence[Unit], recordings: Recordings, settings: SamplingSettings
) -> list[ModelForecast]:
    """What a run would take, in the order in which the plan first names the models.

    Raises
    ------
    CassetteError
        Where a recording cannot be read.
    """
    sums: dict[str, _Sums] = {}
    for unit in {(unit.cassette, unit.request): unit for unit in _largest_last(plan)}.values():
        entry = sums.setdefault(unit.model.name, _Sums(unit.model))
        found = recordings.find(unit)
        calls = sum(is_open(outcome, settings.retry_missing) for outcome in found)
        entry.samples += unit.samples
        entry.calls += calls
        entry.inputs += calls * prompt_tokens(unit)
        entry.assumed += calls * assumed_tokens(unit)
        _learn(entry, found)
    order = dict.fromkeys(unit.model.name for unit in plan)
    return [_conclude(sums[name], settings) for name in order]


def forecast_table(forecasts: Sequence[ModelForecast]) -> list[str]:
    """The forecast as lines of text, totals last."""
    rows = [("model", "samples", "calls", "tokens in", "tokens out", "cost")]
    rows += [
        (
            entry.model,
            str(entry.samples),
            str(entry.calls),
            f"{entry.input_tokens:.0f}",
            f"{entry.output_tokens:.0f}",
            _money(entry),
        )
        for entry in forecasts
    ]
    known = sum(entry.cost or 0.0 for entry in forecasts)
    unknown = [entry.model for entry in forecasts if entry.cost is None and entry.calls]
    rows.append(
        (
            "total",
            str(sum(entry.samples for entry in forecasts)),
            str(sum(entry.calls for entry in forecasts)),
            f"{sum(entry.input_tokens for entry in forecasts):.0f}",
            f"{sum(entry.output_tokens for entry in forecasts):.0f}",
            f"${known:.2f}" + (" and what has no price" if unknown else ""),
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return lines + ([f"no price is known for {', '.join(unknown)}"] if unknown else [])


def _largest_last(plan: Sequence[Unit]) -> list[Unit]:
    return sorted(plan, key=lambda unit: unit.samples)


def _learn(entry: _Sums, found: Sequence[Found]) -> None:
    for outcome in found:
        if isinstance(outcome, Recorded) and len(entry.learnt) < _LEARNT_FROM:
            usage: Usage = entry.model.adapter.parse(outcome.response).usage
            if usage.output_tokens is not None:
                entry.learnt.append(usage.output_tokens)


def _conclude(entry: _Sums, settings: SamplingSettings) -> ModelForecast:
    price = price_of(entry.model, settings.prices)
    return ModelForecast(
        model=entry.model.name,
        samples=entry.samples,
        calls=entry.calls,
        input_tokens=entry.inputs,
        output_tokens=entry.outputs,
        cost=price.of_tokens(entry.inputs, entry.outputs),
        price=price.source,
    )


def _money(entry: ModelForecast) -> str:
    if entry.price == "free":
        return "free"
    return "unknown" if entry.cost is None else f"${entry.cost:.2f}"
