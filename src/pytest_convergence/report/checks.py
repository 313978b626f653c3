"""The message of a failed check: one line that stands alone, then each model, then responses."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_convergence.report.gate import gate_headline, gate_message
from pytest_convergence.report.message import figure, missing_lines
from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.metrics.estimates import Interval
    from pytest_convergence.rate_results import RateDifferenceResult, RateResult
    from pytest_convergence.results import CheckResult
    from pytest_convergence.same_model import SameModelResult

_WIDTH = 78
_FEW = 3
_LINES = 5


def ranged(value: float | None, interval: Interval | None) -> str:
    """A value with its interval, to two places."""
    if interval is None:
        return figure(value)
    return f"{figure(value)} [{figure(interval.low)}, {figure(interval.high)}]"


def check_headline(result: CheckResult) -> str:
    """The verdict in one line that stands alone in a log: the gate's where it fails."""
    if result.gate is not None and result.gate.failed:
        return gate_headline(result.gate)
    return _verdict_headline(result)


def _verdict_headline(result: CheckResult) -> str:
    if result.verdict in ("incomplete", "undefined"):
        return f"{result.verdict}: {printable(result.reason, limit=300)}"
    exact = result.quantity == "same-model" and result.value is not None
    value = f"{result.value:.3g}" if exact else ranged(result.value, result.interval)
    what = f"{_subject(result)} {value}"
    if result.verdict is None:
        return f"{what}, no bound"
    bound = f"{result.direction.replace('_', ' ')} {figure(result.threshold)}"
    if result.verdict == "inconclusive":
        return f"inconclusive: {what} does not settle {bound} at {result.confidence:.0%} confidence"
    unsettled = "" if result.settled else " (unsettled: an interval straddles the bound)"
    return f"{result.verdict}: {what}, wanted {bound}{unsettled}"


def _subject(result: CheckResult) -> str:
    from pytest_convergence.rate_results import RateDifferenceResult, RateResult
    from pytest_convergence.same_model import SameModelResult

    if isinstance(result, SameModelResult):
        return printable(f"p that {result.first} and {result.second} are the same model")
    if isinstance(result, RateDifferenceResult):
        return printable(
            f"difference in the rate of {result.outcome.name}, {result.first} less {result.second},"
        )
    if isinstance(result, RateResult):
        others = sum(one == result.verdict for one in result.verdicts.values()) - 1
        more = f" (and of {others} more)" if others > 0 and result.verdict == "missed" else ""
        return printable(f"rate of {result.outcome.name} of {result.deciding}{more}")
    return result.quantity


def check_message(result: CheckResult) -> str:
    """The whole message of a check."""
    regressed = result.gate is not None and result.gate.failed
    sections = [
        gate_message(result.gate).splitlines() if result.gate is not None and regressed else [],
        [_verdict_headline(result)],
        _context(result),
        *_numbers(result),
    ]
    if result.settlement is not None:
        sections.append(textwrap.wrap(str(result.settlement), _WIDTH))
    sections.append(missing_lines(result))
    return "\n\n".join("\n".join(section) for section in sections if section)


def _context(result: CheckResult) -> list[str]:
    counted = f"{len(result.models)} model{'s' if len(result.models) > 1 else ''}"
    line = (
        f"asserted {result.direction.replace('_', ' ')} {figure(result.threshold)}, metric "
        f"{result.metric}, {len(result.cases)} prompts x {counted} x {result.samples} samples"
    )
    lines = textwrap.wrap(printable(line), _WIDTH)
    if result.simulated:
        lines.append(f"simulated: {len(result.simulated)} of {len(result.models)} models")
    return lines


def _numbers(result: CheckResult) -> list[list[str]]:
    from pytest_convergence.rate_results import RateDifferenceResult, RateResult
    from pytest_convergence.same_model import SameModelResult

    if isinstance(result, SameModelResult):
        return [_same_model(result)]
    if isinstance(result, RateResult):
        return [
            _rate_table(result),
            _judges(result),
            _prompts(result, result.by_prompt),
            _wrong_side(result),
        ]
    if isinstance(result, RateDifferenceResult):
        return [_difference_table(result), _prompts(result, result.by_prompt)]
    return []


def _same_model(result: SameModelResult) -> list[str]:
    if result.test is None:
        return []
    lines = [
        f"discrepancy (MMD^2) {result.test.statistic:.4f}, {result.test.null_mean:.4f} where their "
        "responses are shuffled",
        f"p {result.test.p:.4f} of {result.test.permutations} permutations; the smallest possible "
        f"is {result.smallest_p:.4f}",
    ]
    if result.copies:
        lines.append(f"identical samples (n copies are not n samples): {', '.join(result.copies)}")
    return [printable(line, limit=2 * _WIDTH) for line in lines]


def _rate_table(result: RateResult) -> list[str]:
    width = max(len(printable(model)) for model in result.models)
    lines = [f"{'model':<{width}}  {'rate [interval]':<20}{'prompts':>8}{'answers':>9}  verdict"]
    order = sorted(
        result.models,
        key=lambda m: result.rates[m].rate if m in result.rates else -1.0,
        reverse=result.direction == "at_most",
    )
    for model in order:
        rate = result.rates.get(model)
        shown = ranged(rate.rate, rate.interval) if rate else "-"
        counts = f"{rate.prompts:>8}{rate.answers:>9}" if rate else f"{0:>8}{0:>9}"
        lines.append(
            f"{printable(model):<{width}}  {shown:<20}{counts}  {result.verdicts[model] or '-'}"
        )
    return lines


def _judges(result: RateResult) -> list[str]:
    if result.judges is None:
        return []
    from pytest_convergence.report.judges import judge_lines

    return judge_lines(result.judges)


def _difference_table(result: RateDifferenceResult) -> list[str]:
    found = result.difference
    if found is None:
        return []
    return [
        f"{figure(found.first)}  {printable(result.first)}",
        f"{figure(found.second)}  {printable(result.second)}",
        f"on {found.prompts} prompts (families) that both answered",
    ]


def _prompts(result: CheckResult, by_prompt: Mapping[str, Sequence[tuple[int, int]]]) -> list[str]:
    """The prompts that weigh most against the assertion."""
    if len(result.cases) < 2:
        return []
    sign = 1 if result.direction == "at_least" else -1
    weights = [
        (sign * sum(row[i][0] for row in by_prompt.values()) / max(usable, 1), i)
        for i in range(len(result.cases))
        if (usable := sum(row[i][1] for row in by_prompt.values()))
    ]
    lines = ["prompts with the lowest rate" if sign > 0 else "prompts with the highest rate"]
    for rate, i in sorted(weights)[:_FEW]:
        case = result.cases[i]
        text = f"  {figure(abs(rate))}  {case.prompt_id}: {case.prompt}"
        lines.append(printable(text, limit=_WIDTH))
    return lines


def _wrong_side(result: RateResult) -> list[str]:
    """A few responses of the deciding model that weigh against the assertion."""
    if result.verdict not in ("missed", "inconclusive"):
        return []
    found = []
    for case in result.cases:
        for sample, label in enumerate(case.labels.get(result.deciding, ())):
            passes = result.outcome.passes(label)
            if passes is not None and passes != (result.direction == "at_least"):
                head = f"  {case.prompt_id} #{sample}, labelled {label.value}:"
                text = case.responses[result.deciding][sample].text
                found.append([printable(head, limit=_WIDTH), *_wrapped(text)])
                break
    lines = [line for block in found[:_FEW] for line in block]
    if len(found) > _FEW:
        lines.append(f"  … and on {len(found) - _FEW} more prompts")
    return [f"responses of {printable(result.deciding)} that count against it", *lines]


def _wrapped(text: str) -> list[str]:
    shown = printable(text, limit=_WIDTH * _LINES, multiline=True)
    lines = [f"    {part}" for line in shown.splitlines() for part in textwrap.wrap(line, _WIDTH)]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "    …"]
