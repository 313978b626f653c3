"""A run in one sentence, and the finding that matters most: converged and wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_convergence.report.tables import failed_beside
from pytest_convergence.text import printable

_NAMED = 3


def sentence(run: Mapping[str, Any]) -> str:
    """What a run found, for someone who reads one sentence."""
    every = {
        "group": run["groups"],
        "case": [case for case in run["cases"] if "verdict" in case],
        "check": run.get("checks", []),
    }
    asserted = {
        noun: [_holds(entry) for entry in entries if entry["verdict"] is not None]
        for noun, entries in every.items()
    }
    judged = {noun: passed for noun, passed in asserted.items() if passed}
    wrong = {noun: passed for noun, passed in judged.items() if not all(passed)}
    if wrong:
        told = [
            f"{passed.count(False)} of {_counted(len(passed), noun)}"
            for noun, passed in wrong.items()
        ]
        verdict = f"{_listed(told)} {_verb(wrong)} not as asserted"
    elif judged:
        told = [_counted(len(passed), noun) for noun, passed in judged.items()]
        verdict = f"{_listed(told)} {_verb(judged)} as asserted"
    else:
        told = [_counted(len(entries), noun) for noun, entries in every.items() if entries]
        verdict = f"{_listed(told)} reported, nothing asserted" if told else "Nothing was judged"
    return f"{'; '.join([*_unlike_baseline(every), verdict])}{_simulated(run)}."


def _holds(entry: Mapping[str, Any]) -> bool:
    """Whether what was asserted holds; the baseline is another matter."""
    held: bool = entry["passed"] or (bool(_gate(entry)) and failed_beside(entry) is not None)
    return held


def _gate(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = entry.get("gate") or {}
    return found


def _unlike_baseline(every: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """How many scores and rates fail against the baseline, as the first part of the sentence."""
    gated = [_gate(entry) for entries in every.values() for entry in entries if _gate(entry)]
    words = Counter(gate["status"] for gate in gated if gate.get("failed"))
    if not words:
        return []
    told = _listed([f"{count} {word}" for word, count in words.most_common()])
    return [f"Against the baseline {told} (of {len(gated)})"]


def failed(run: Mapping[str, Any]) -> bool:
    """Whether anything in a run is not as it should be."""
    entries = (*run["groups"], *run["cases"], *run.get("checks", ()))
    return bool(run["problems"]) or any(
        not entry.get("passed", True) or entry.get("gate", {}).get("failed", False)
        for entry in entries
    )


def _verb(found: Mapping[str, Sequence[bool]]) -> str:
    return "is" if [len(passed) for passed in found.values()] == [1] else "are"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _simulated(run: Mapping[str, Any]) -> str:
    count = sum(model["simulated"] for model in run["models"])
    if not count:
        return ""
    everyone = count == len(run["models"])
    return " (simulated models)" if everyone else f" ({_counted(count, 'model')} simulated)"


def wrong_together(case: Mapping[str, Any]) -> bool:
    """Whether the models agree on an answer that is known to be wrong."""
    if case.get("verdict") != "converged":
        return False
    known = [
        said["correct"]
        for responses in case.get("responses", {}).values()
        for said in responses
        if "correct" in said
    ]
    return bool(known) and sum(known) * 2 < len(known)


def wrong_lines(run: Mapping[str, Any]) -> list[str]:
    """Where models converge on answers that are known to be wrong; nothing where they do not."""
    groups = [group["id"] for group in run["groups"] if _mostly_wrong(group)]
    cases = [case["nodeid"] for case in run["cases"] if wrong_together(case)]
    told = [
        f"{_counted(len(ids), noun)} ({_some([one.split('::', 1)[-1] for one in ids])})"
        for noun, ids in (("group", groups), ("case", cases))
        if ids
    ]
    return [f"converged, and mostly on wrong answers: {', '.join(told)}"] if told else []


def _mostly_wrong(group: Mapping[str, Any]) -> bool:
    shares = [share for share in (group.get("accuracy") or {}).values() if share is not None]
    return group["verdict"] == "converged" and bool(shares) and sum(shares) * 2 < len(shares)


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _NAMED else ""
    return printable(", ".join(names[:_NAMED]), limit=150) + more
