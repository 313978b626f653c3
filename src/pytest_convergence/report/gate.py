"""What the gate found, for people: a headline, the comparison, and old beside new."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.baseline.decision import Decision, ModelMove, OldAndNew

_WIDTH = 78
_COLUMN = 37
_GUARDED = {
    "converges": "agreement",
    "diverges": "diversity",
    "at_least": "a rate from below",
    "at_most": "a rate from above",
}
ORDER = (
    "regressed", "stale", "vanished", "new", "incomplete", "partial", "improved", "unchanged"
)  # fmt: skip


def gate_headline(decision: Decision) -> str:
    """The decision in one line that stands alone in a log."""
    if decision.status in ("regressed", "improved"):
        return f"{decision.status}: {entry_line(decision.as_dict())}"
    reason = decision.reason or "as in the baseline"
    return f"{decision.status}: {printable(reason, limit=400)}"


def gated(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was compared with the baseline: scores of groups, and rates that their markers ask."""
    return [one for one in (*run["groups"], *run.get("checks", ())) if one.get("gate")]


def comparison_line(gate: Mapping[str, Any]) -> str:
    """Before, after, and the difference with its interval."""
    low, high = gate["low"], gate["high"]
    return (
        f"{_quantity(gate)} {gate['before']:.2f} -> {gate['after']:.2f}, "
        f"difference {gate['difference']:+.2f} [{low:+.2f}, {high:+.2f}]"
    )


def _quantity(gate: Mapping[str, Any]) -> str:
    """What was compared: a score, a similarity, a rate of certain answers."""
    counted = gate.get("counted")
    return f"{gate['quantity']} of {counted}" if counted else str(gate["quantity"])


def gate_message(decision: Decision) -> str:
    """The headline, how it was decided, which models and prompts moved, old beside new."""
    sections = [[gate_headline(decision)], _how(decision), _models(decision), _prompts(decision)]
    sections += [_side_by_side(one) for one in decision.examples]
    if decision.status in ("new", "stale", "vanished", "partial"):
        bless = (
            "bless it once it is what you want: add --convergence-update-baseline to the command"
        )
        sections.append(textwrap.wrap(printable(decision.fix or bless, limit=400), _WIDTH))
    return "\n\n".join("\n".join(section) for section in sections if section)


def _how(decision: Decision) -> list[str]:
    lines = []
    if decision.pvalue is not None:
        looks = f" x {decision.looks} looks" if decision.looks > 1 else ""
        lines.append(
            f"the test guards {_GUARDED[decision.direction]}; significant is p under "
            f".05/({decision.groups} in the baseline{looks}), smallest effect "
            f"{decision.smallest_effect:g}; by {decision.method}"
        )
        lines.append(f"{decision.compared} of {decision.prompts} prompts compared")
    lines += decision.notes
    return [part for line in lines for part in textwrap.wrap(printable(line), _WIDTH)]


def _models(decision: Decision) -> list[str]:
    if not decision.models:
        return []
    worst = -1.0 if decision.direction in ("diverges", "at_most") else 1.0
    ordered = sorted(
        decision.models, key=lambda m: (not m.redrawn, worst * ((m.after or 0) - (m.before or 0)))
    )
    others = "" if decision.quantity == "rate" else " with the others"
    what = _quantity({"quantity": decision.quantity, "counted": decision.counted})
    lines = [
        printable(f"{what}{others}, before -> now", limit=_WIDTH),
        f"  {_arrow(decision.before, decision.after)}  all models, p = {decision.pvalue:.1g}",
        *map(_model_line, ordered[:8]),
    ]
    if len(ordered) > 8:
        lines.append(f"  … and {len(ordered) - 8} more models")
    return lines


def _arrow(before: float | None, after: float | None) -> str:
    return " -> ".join("-" if value is None else f"{value:.2f}" for value in (before, after))


def _model_line(model: ModelMove) -> str:
    told = [model.name]
    if not model.redrawn:
        told.append("same recordings")
    if model.pvalue is not None and model.redrawn:
        told.append(f"p = {model.pvalue:.1g}")
    if model.movement != "unchanged":
        told.append(model.movement if model.redrawn else f"{model.movement} through the others")
    if model.changed:
        told.append(f"its answers changed (MMD^2 {model.mmd2:.2f})")
    return printable(f"  {_arrow(model.before, model.after)}  {', '.join(told)}", limit=_WIDTH + 20)


def _prompts(decision: Decision) -> list[str]:
    if not decision.moved:
        return []
    moves = [
        f"  {move.before:.2f} -> {move.after:.2f}  {move.prompt_id}" for move in decision.moved
    ]
    heading = "prompts that moved (none is judged by itself)"
    return [heading, *(printable(move, limit=_WIDTH) for move in moves)]


def _side_by_side(one: OldAndNew) -> list[str]:
    lines = [printable(f"{one.model} on {one.prompt_id}", limit=_WIDTH)]
    if one.labels_before or one.labels_after:
        lines.append(
            printable(
                f"labels: {one.labels_before or '-'} -> {one.labels_after or '-'}", limit=_WIDTH
            )
        )
    columns = [_column("before", one.before), _column("now", one.after)]
    lines += [f"  {a:<{_COLUMN}} | {b}".rstrip() for a, b in zip_longest(*columns, fillvalue="")]
    return lines


def _column(title: str, texts: Sequence[str]) -> list[str]:
    lines = [title, "-" * _COLUMN]
    for text in texts or ("(no usable answer)",):
        lines += textwrap.wrap(printable(text), _COLUMN) or [""]
        lines.append("")
    return lines[:-1]


def gate_counts(run: Mapping[str, Any]) -> str:
    """How many scores and rates came to which decision, the worst first."""
    counts = Counter(one["gate"]["status"] for one in gated(run))
    counts["vanished"] += len((run.get("gate") or {}).get("vanished", ()))
    return ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])


def gate_lines(run: Mapping[str, Any]) -> list[str]:
    """One line for each group that is not as it was, for the terminal's summary."""
    lines = [
        _gate_line(group)
        for group in gated(run)
        if group["gate"]["status"] != "unchanged"
        or changed_models(group["gate"])
        or group["gate"].get("notes")
    ]
    lines += [
        f"  {'vanished':<10} {printable(name)}: in the baseline, no longer collected or asked"
        for name in (run.get("gate") or {}).get("vanished", ())
    ]
    return [printable(line, limit=400) for line in lines]


def blind_lines(run: Mapping[str, Any]) -> list[str]:
    """The groups of `gate_lines` that pass and of which there is something to know."""
    return [
        printable(_gate_line(group), limit=400)
        for group in gated(run)
        if group["gate"]["status"] == "unchanged" and group["gate"].get("notes")
    ]


def _gate_line(group: Mapping[str, Any]) -> str:
    name = printable(group["id"].split("::", 1)[-1])
    return f"  {group['gate']['status']:<10} {name}: {entry_line(group['gate'])}"


def entry_line(gate: Mapping[str, Any]) -> str:
    """What one group's decision, in JSON types, says in one line."""
    parts = []
    if gate.get("difference") is not None:
        parts.append(comparison_line(gate))
    told = [model for model in gate.get("models", ()) if model["movement"] == gate["status"]]
    # The two models of a pair have no difference of their own.
    told.sort(key=lambda model: -abs(model["difference"] or 0.0))
    if gate["status"] in ("regressed", "improved") and told:
        others = f" (and {len(told) - 1} more models)" if len(told) > 1 else ""
        worst = told[0]
        with_others = "" if gate["quantity"] == "rate" else " with the others"
        parts.append(
            f"{worst['name']}{with_others} {_arrow(worst['before'], worst['after'])}{others}"
        )
    if gate.get("reason"):
        parts.append(gate["reason"])
    changed = changed_models(gate)
    if changed and gate["status"] != "regressed":
        parts.append(f"answers changed: {', '.join(changed)}")
    parts += gate.get("notes", ())
    return printable("; ".join(parts) or gate["status"], limit=400)


def changed_models(gate: Mapping[str, Any]) -> list[str]:
    """Models whose answers come from another distribution than before."""
    return [model["name"] for model in gate.get("models", ()) if model["changed"]]
