"""Which responses are missing from a run, and why: two lines a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_convergence.report.columns import Signs, seen_width, shortened
from pytest_convergence.text import printable

_MODELS = 8
_REASONS = 3
_INDENT = 6
# Which call it was, which a final failure names at its end.
_CALL = re.compile(r" \[[^\[\]]*, sample \d+ of prompt .*\]$", re.DOTALL)
# Request ids, attempts and the like, which make one reason look like many.
_VARYING = re.compile(r"\b(?=[\w-]*\d)[\w-]{8,}| \(\d+ attempts\)")


def missing_rows(
    run: Mapping[str, Any], width: int, signs: Signs, *, everything: bool
) -> list[str]:
    """A heading, and for each model that lacks responses how many of which kind, and why.

    The most frequent reasons stand in one line, cut to the width; with
    ``everything`` each has a line of its own, whole.
    """
    lacking = sorted(
        (model for model in run["models"] if model["missing"]),
        key=lambda model: -sum(model["missing"].values()),
    )
    reasons = reasons_by_model(run)
    lacking += [
        {**model, "missing": Counter(kind for kind, _ in reasons[model["name"]].elements())}
        for model in run["models"]
        if not model["missing"] and model["name"] in reasons
    ]
    if not lacking:
        return []
    rows = ["missing, neither agreement nor disagreement"]
    limit = len(lacking) if everything else _MODELS
    for model in lacking[:limit]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(model["missing"].items()))
        line = f"  {printable(model['name'], limit=40)}: {kinds} of {model['responses']}"
        rows.append(shortened(line, width, signs))
        rows += _why(reasons.get(model["name"], Counter()), width, signs, everything=everything)
    if len(lacking) > limit:
        rows.append(f"  {signs.cut} and {len(lacking) - limit} more models (-vv shows all)")
    return rows


def reasons_by_model(run: Mapping[str, Any]) -> dict[str, Counter[tuple[str, str]]]:
    """By model how often a response is missing of which kind and for which reason.

    Each case counts once: as its group judged it, else as its own test did.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {}
    first: dict[tuple[str, str], str] = {}
    for missing in _each_once(run):
        kind, reason = str(missing["kind"]), _CALL.sub("", str(missing["reason"]))
        alike = first.setdefault((kind, _VARYING.sub("", reason)), reason)
        counts.setdefault(missing["model"], Counter())[kind, alike] += 1
    return counts


def _each_once(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    counted: set[str] = set()
    cases = (case for case in run["cases"] if "verdict" in case)
    for entry in (*run["groups"], *cases, *run.get("checks", ())):
        of = set(entry.get("cases") or [entry["id"]])
        # A further assertion of one test is about the responses of the first.
        if not counted.issuperset(of) and str(entry["id"]).rpartition("~")[0] not in counted:
            yield from entry["missing"]
        counted |= of


def _why(
    reasons: Counter[tuple[str, str]], width: int, signs: Signs, *, everything: bool
) -> Sequence[str]:
    told = [
        f"{count} x {printable(reason)}"
        for (_, reason), count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    if everything or not told:
        return [" " * _INDENT + one for one in told]
    more = f"; {len(told) - _REASONS} more" if len(told) > _REASONS else ""
    shown = told[:_REASONS]
    room = width - _INDENT - len(more)
    rest = [f"; {shortened(one, room // (len(shown) + 1) - 2, signs)}" for one in shown[1:]]
    # The most frequent has all that the others leave.
    first = shortened(shown[0], room - sum(map(seen_width, rest)), signs)
    return [" " * _INDENT + "".join([first, *rest]) + more]
