"""A run in one sentence, and the finding that matters most: converged and wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def sentence(run: Mapping[str, Any]) -> str:
    """What a run found, for someone who reads one sentence."""
    judged = {
        "group": run["groups"],
        "case": [case for case in run["cases"] if "verdict" in case],
        "check": run.get("checks", []),
    }
    parts = [_found(entries, noun) for noun, entries in judged.items() if entries]
    told = _listed(parts) or "nothing was judged"
    simulated = sum(model["simulated"] for model in run["models"])
    note = ""
    if simulated:
        everyone = simulated == len(run["models"])
        note = " (simulated models)" if everyone else f" ({simulated} models simulated)"
    return f"{told[0].upper()}{told[1:]}{note}."


def failed(run: Mapping[str, Any]) -> bool:
    """Whether anything in a run is not as it should be."""
    entries = (*run["groups"], *run["cases"], *run.get("checks", ()))
    return bool(run["problems"]) or any(
        not entry.get("passed", True) or entry.get("gate", {}).get("failed", False)
        for entry in entries
    )


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _found(entries: Sequence[Mapping[str, Any]], noun: str) -> str:
    asserted = [entry for entry in entries if entry["verdict"] is not None]
    failing = [entry for entry in asserted if not entry["passed"]]
    if not asserted:
        return f"{_counted(len(entries), noun)} reported"
    if not failing:
        every = "the only" if len(asserted) == 1 else f"all {len(asserted)}"
        verb = "is" if len(asserted) == 1 else "are"
        return f"{every} {_counted(len(asserted), noun, bare=True)} {verb} as asserted"
    kinds = Counter(entry["verdict"] for entry in failing)
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    verb = "is" if len(failing) == 1 else "are"
    return f"{len(failing)} of {_counted(len(asserted), noun)} {verb} not as asserted ({told})"


def _counted(count: int, noun: str, *, bare: bool = False) -> str:
    word = noun if count == 1 else f"{noun}s"
    return word if bare else f"{count} {word}"


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
