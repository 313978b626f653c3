"""The message of a failure: one line that stands alone, then why."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from pytest_convergence.metrics.estimates import GroupEstimate, PromptEstimate
from pytest_convergence.report.beside import beside_lines
from pytest_convergence.report.gate import gate_headline, gate_message
from pytest_convergence.report.judges import judge_lines
from pytest_convergence.report.swap import swap_headline, swap_message
from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.metrics.summaries import Floats
    from pytest_convergence.results import CaseResponses, ConvergenceResult, Result

_WIDTH = 78
_COLUMN = 37
_LINES = 8
_MATRIX = 10


def figure(value: float | None) -> str:
    """A similarity or a score to two places; ``-`` where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.2f}"


def with_interval(result: ConvergenceResult) -> str:
    """The value with its interval."""
    if result.interval is None:
        return figure(result.value)
    return f"{figure(result.value)} [{figure(result.interval.low)}, {figure(result.interval.high)}]"


def headline(result: ConvergenceResult) -> str:
    """The verdict in one line that stands alone in a log: the gate's where it fails."""
    if result.gate is not None and result.gate.failed:
        return gate_headline(result.gate)
    if result.swap is not None:
        return swap_headline(result.swap)
    return _verdict_headline(result)


def _verdict_headline(result: ConvergenceResult) -> str:
    what = f"{result.quantity} {with_interval(result)}"
    if result.verdict in ("incomplete", "undefined"):
        return f"{result.verdict}: {printable(result.reason, limit=300)}"
    if result.verdict is None:
        return f"{what}, no threshold"
    if result.verdict == "inconclusive":
        level = f"at {result.confidence:.0%} confidence" if result.confidence else ""
        return f"inconclusive: {what} does not settle {figure(result.threshold)} {level}".rstrip()
    relation = "reaches" if result.verdict == "converged" else "is below"
    unsettled = "" if result.settled else " (unsettled: the interval straddles it)"
    if result.value is None:
        return f"{result.verdict}: {printable(result.reason, limit=300)}"
    return (
        f"{result.verdict}: {what} {relation} the threshold {figure(result.threshold)}{unsettled}"
    )


def message(result: ConvergenceResult) -> str:
    """The whole message: headline, how it was judged, matrix, outlier, prompts, responses."""
    regressed = result.gate is not None and result.gate.failed
    sections = [
        gate_message(result.gate).splitlines() if result.gate is not None and regressed else [],
        swap_message(result.swap) if result.swap is not None else [],
        [_verdict_headline(result)],
        [*_context(result), *beside_lines(result)],
        pair_matrix(result),
        _outlier(result),
        _divergent_prompts(result),
        _side_by_side(result),
        judge_lines(result.judges) if result.judges else [],
        missing_lines(result),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _context(result: ConvergenceResult) -> list[str]:
    wanted = "to converge" if result.direction == "converges" else "to diverge"
    lines = [
        f"asserted {wanted} by {result.quantity}, metric {result.metric}, "
        f"{len(result.models)} models x {result.samples} samples"
    ]
    estimate = result.estimate
    if isinstance(estimate, GroupEstimate):
        lines.append(
            f"similarity {figure(estimate.similarity)}, within {figure(estimate.within)}, "
            f"floor {figure(estimate.floor)} (same model {figure(estimate.same_model_floor)}), "
            f"ceiling {figure(estimate.ceiling)}, {len(estimate.prompts)} prompts in "
            f"{estimate.families} families"
        )
    elif isinstance(estimate, PromptEstimate) and estimate.within is not None:
        lines.append(f"within (each model with itself) {figure(estimate.within)}")
    if result.accuracy:
        shown = ", ".join(f"{model} {share:.0%}" for model, share in result.accuracy.items())
        lines.append(f"right answers: {shown} (agreement is not correctness)")
    if result.copies:
        lines.append(f"identical samples (n copies are not n samples): {', '.join(result.copies)}")
    if result.simulated:
        lines.append(f"simulated: {len(result.simulated)} of {len(result.models)} models")
    return [part for line in lines for part in textwrap.wrap(printable(line), _WIDTH)]


def _matrix(result: ConvergenceResult) -> tuple[tuple[str, ...], Floats, str] | None:
    estimate = result.estimate
    if isinstance(estimate, PromptEstimate):
        return estimate.models, estimate.pairs, "similarity"
    if isinstance(estimate, GroupEstimate):
        if estimate.undefined is None:
            return estimate.models, estimate.pairs.score, "score"
        return estimate.models, estimate.pairs.similarity, "similarity"
    return None


def pair_matrix(result: ConvergenceResult) -> list[str]:
    """Models x models, with each model's similarity to itself in brackets."""
    found = _matrix(result)
    if found is None:
        return []
    models, pairs, name = found
    if len(models) > _MATRIX:
        return _lowest_pairs(models, pairs, name)
    width = max(len(printable(model)) for model in models)
    lines = [
        f"{name} of pairs" + ("; in brackets a model with itself" if name != "score" else ""),
        " " * (width + 4) + "".join(f"{index + 1:>7}" for index in range(len(models))),
    ]
    for row, model in enumerate(models):
        cells = [
            f"{f'({figure(value)})' if row == column and name != 'score' else figure(value):>7}"
            if row != column or name != "score"
            else f"{'·':>7}"
            for column, value in enumerate(pairs[row])
        ]
        lines.append(f"{row + 1:>2}  {printable(model):<{width}}{''.join(cells)}")
    return lines


def _lowest_pairs(models: Sequence[str], pairs: Floats, name: str) -> list[str]:
    rows, columns = np.triu_indices(len(models), 1)
    order = np.argsort(pairs[rows, columns], kind="stable")[:5]
    lines = [f"lowest {name} of {len(rows)} pairs"]
    for index in order:
        a, b = models[rows[index]], models[columns[index]]
        lines.append(f"  {figure(pairs[rows[index], columns[index]])}  {a} - {b}")
    return [printable(line, limit=_WIDTH) for line in lines]


def _off_diagonal_means(pairs: Floats) -> Floats:
    means: Floats = np.nanmean(np.where(np.eye(len(pairs), dtype=bool), np.nan, pairs), axis=1)
    return means


def _outlier(result: ConvergenceResult) -> list[str]:
    found = _matrix(result)
    if found is None or len(found[0]) < 3:
        return []
    models, pairs, name = found
    usable = np.where(np.eye(len(pairs), dtype=bool), np.nan, pairs)
    if np.isnan(usable).all(axis=1).any():
        return []
    means = _off_diagonal_means(pairs)
    lowest = int(np.argmin(means))
    rest = np.delete(np.delete(usable, lowest, 0), lowest, 1)
    others = float(np.nanmean(rest)) if not np.isnan(rest).all() else float("nan")
    return [
        f"outlier: {printable(models[lowest])}, mean {name} to the others {figure(means[lowest])}; "
        f"among themselves {figure(others)}"
    ]


def _divergent_prompts(result: ConvergenceResult) -> list[str]:
    estimate = result.estimate
    if not isinstance(estimate, GroupEstimate) or len(estimate.prompts) < 2:
        return []
    highest = result.direction == "diverges"
    values = estimate.by_prompt
    order = np.argsort(-values if highest else values, kind="stable")[:3]
    lines = ["most alike prompts" if highest else "most divergent prompts"]
    texts = {case.prompt_id: case.prompt for case in result.cases}
    for index in order:
        name = estimate.prompts[index]
        text = printable(texts.get(name, ""), limit=200)
        lines.append(printable(f"  {figure(values[index])}  {name}: {text}", limit=_WIDTH))
    return lines


def _telling_case(result: ConvergenceResult) -> CaseResponses | None:
    """The case that shows best why: the only one, or the most divergent of a group."""
    if not result.cases:
        return None
    estimate = result.estimate
    if not isinstance(estimate, GroupEstimate) or np.isnan(estimate.by_prompt).all():
        return result.cases[0]
    pick = np.nanargmax if result.direction == "diverges" else np.nanargmin
    name = estimate.prompts[int(pick(estimate.by_prompt))]
    return next((case for case in result.cases if case.prompt_id == name), None)


def _side_by_side(result: ConvergenceResult) -> list[str]:
    case, found = _telling_case(result), _matrix(result)
    if case is None or found is None:
        return []
    models, pairs, _ = found
    rows, columns = np.triu_indices(len(models), 1)
    values = pairs[rows, columns]
    if np.isnan(values).all():
        return []
    pick = np.nanargmax if result.direction == "diverges" else np.nanargmin
    index = int(pick(values))
    left, right = models[rows[index]], models[columns[index]]
    texts = _differing_texts(case, left, right)
    if texts is None:
        return []
    lines = [f"two responses to {printable(case.prompt_id, limit=60)}"]
    lines += _columns(f"{left} #{texts[0]}", f"{right} #{texts[2]}", texts[1], texts[3])
    return lines


def _differing_texts(
    case: CaseResponses, left: str, right: str
) -> tuple[int, str, int, str] | None:
    """The first usable sample of each model, of different labels where they have such."""
    candidates = [
        [
            (i, case.responses[model][i].text, labels[i].value if labels else None)
            for i, usable in enumerate(case.usable[model])
            if usable
        ]
        for model in (left, right)
        for labels in (case.labels.get(model),)
    ]
    if not candidates[0] or not candidates[1]:
        return None
    for first in candidates[0]:
        for second in candidates[1]:
            if (first[2] or first[1]) != (second[2] or second[1]):
                return first[0], first[1], second[0], second[1]
    first, second = candidates[0][0], candidates[1][0]
    return first[0], first[1], second[0], second[1]


def _columns(left: str, right: str, left_text: str, right_text: str) -> list[str]:
    columns = [
        [printable(title, limit=_COLUMN), "-" * _COLUMN, *_wrapped(text)]
        for title, text in ((left, left_text), (right, right_text))
    ]
    return [f"  {a:<{_COLUMN}} | {b}".rstrip() for a, b in zip_longest(*columns, fillvalue="")]


def _wrapped(text: str) -> list[str]:
    shown = printable(text, limit=_COLUMN * (_LINES + 1), multiline=True)
    lines = [part for line in shown.splitlines() for part in (textwrap.wrap(line, _COLUMN) or [""])]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"]


def missing_lines(result: Result) -> list[str]:
    """Missing responses by model and kind, with one reason each."""
    if not result.missing:
        return []
    counts = Counter((missing.model, missing.kind) for missing in result.missing)
    reasons = {(missing.model, missing.kind): missing.reason for missing in result.missing}
    lines = [f"missing: {len(result.missing)} responses, neither agreement nor disagreement"]
    for (model, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:8]:
        reason = reasons[model, kind]
        lines.append(printable(f"  {count:>4} {kind:<10} {model}: {reason}", limit=_WIDTH))
    if len(counts) > 8:
        lines.append(f"  … and {len(counts) - 8} more models and kinds")
    return lines
