"""What the page shows, out of a run: worst first, without texts, which each case has to itself."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_convergence.report.html.families import model_families
from pytest_convergence.report.summary import failed, sentence, wrong_together
from pytest_convergence.report.terminal import worst_first

_VERDICTS = (
    *("converged", "diverged", "met", "missed", "inconclusive", "undefined", "incomplete"),
    "reported",
)
_PREVIEW = 160
_GROUP_FIELDS = (
    *("id", "nodeid", "quantity", "value", "interval", "threshold", "direction", "verdict"),
    *("settled", "passed", "reason", "metric", "confidence", "capability", "arm", "models"),
    *("samples", "similarity", "within", "accuracy", "copies", "present", "pairs", "families"),
    *("undefined", "similarity_interval", "floor", "same_model_floor", "ceiling", "own"),
    *("to_others", "permutation_mean", "permutation_p", "mmd2", "mmd_p", "duplicates"),
    *("identical", "gate", "agreement", "confounds", "judges", "settlement"),
)
_CHECK_FIELDS = (*_GROUP_FIELDS, "deciding", "verdicts")
_RATE_FIELDS = ("rate", "interval", "prompts")
_CASE_FIELDS = (
    *("id", "nodeid", "prompt_id", "family", "quantity", "value", "interval", "threshold"),
    *("direction", "verdict", "settled", "passed", "reason", "metric", "samples", "within"),
)


def overview(run: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Everything but texts: what the page needs before anyone opens a case."""
    numbers = {case["id"]: number for number, case in enumerate(run["cases"])}
    groups = [_group(group, run["cases"], numbers) for group in worst_first(run["groups"])]
    judged = [case for case in run["cases"] if "verdict" in case]
    simulated = sum(model["simulated"] for model in run["models"])
    return {
        "title": "Convergence report",
        "sentence": sentence(run),
        "failed": failed(run),
        "created": run["created"],
        "command": shlex.join(["pytest", *run["command"]]),
        "settings": run["settings"],
        "sampling": run.get("sampling"),
        "extra": run["extra"],
        "problems": run["problems"],
        "simulated": "all" if simulated == len(run["models"]) and simulated else simulated,
        "counts": {
            "groups": _verdicts(run["groups"]),
            "cases": _verdicts(judged),
            "checks": _verdicts(run.get("checks", [])),
        },
        "missing": sum(sum(model["missing"].values()) for model in run["models"]),
        "responses": sum(model["responses"] for model in run["models"]),
        "models": run["models"],
        "groups": groups,
        "cases": _cases(run, groups, numbers),
        "history": [*history],
        "checks": [_check(check) for check in worst_first(run.get("checks", []))],
        "gate": run.get("gate"),
        "version": run["version"],
    }


def _verdicts(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter(entry["verdict"] or "reported" for entry in entries)
    return {name: counts[name] for name in _VERDICTS}


def group_name(group: Mapping[str, Any]) -> str:
    """What a reader calls a group: capability and arm, else the test."""
    named = " ".join(str(group[part]) for part in ("capability", "arm") if group[part])
    return named or test_name(group["nodeid"])


def test_name(nodeid: str) -> str:
    """The test's own name, without file and parameters."""
    return nodeid.split("::", 1)[-1].split("[", 1)[0]


def _group(
    group: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> dict[str, Any]:
    shown = {name: group[name] for name in _GROUP_FIELDS if name in group}
    shown["name"] = group_name(group)
    shown["test"] = test_name(group["nodeid"])
    shown["missing"] = _missing(group)
    shown["cases"] = [numbers[name] for name in group["cases"]]
    shown["prompts"] = _prompts(group, cases, numbers)
    shown["tree"] = model_families(group)
    return shown


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: check[name] for name in _CHECK_FIELDS if name in check}
    if "found" in check:
        shown["found"] = {"groups": check["found"]["groups"]}
    if "rates" in check:
        shown["rates"] = {
            model: {name: rate[name] for name in _RATE_FIELDS}
            for model, rate in check["rates"].items()
        }
    # A test of several prompts checks each: its parameters tell them apart.
    return {**shown, "name": group_name(check), "test": check["nodeid"].split("::", 1)[-1]}


def _prompts(
    group: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Each prompt of a group: its case, its similarity, and how far it pulls the score."""
    columns = (group.get(name, ()) for name in ("prompts", "by_prompt", "leverage"))
    found = {name: pair for name, *pair in zip(*columns, strict=True)}
    return [
        {"case": number, "similarity": pair[0], "leverage": pair[1]}
        for number in (numbers[name] for name in group["cases"])
        if (pair := found.get(cases[number]["prompt_id"])) is not None
    ]


def _missing(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Missing responses by model and kind, the most first, each with one reason."""
    counts = Counter((missing["model"], missing["kind"]) for missing in entry["missing"])
    reasons = {(one["model"], one["kind"]): one["reason"] for one in entry["missing"]}
    return [
        {"model": model, "kind": kind, "count": count, "reason": reasons[model, kind][:300]}
        for (model, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _cases(
    run: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Cases in their order in the run, each with its rank among the worst and its groups."""
    members: dict[int, list[int]] = {}
    for position, group in enumerate(groups):
        for number in group["cases"]:
            members.setdefault(number, []).append(position)
    judged = worst_first([case for case in run["cases"] if "verdict" in case])
    ranks = {case["id"]: rank for rank, case in enumerate(judged)}
    return [
        {
            **{name: case[name] for name in _CASE_FIELDS if name in case},
            "prompt": case.get("prompt", "")[:_PREVIEW],
            "missing": _absent(case),
            "responses": sum(len(said) for said in case.get("responses", {}).values()),
            "wrong": wrong_together(case),
            "rank": ranks.get(case["id"], len(ranks)),
            "groups": members.get(numbers[case["id"]], []),
        }
        for case in run["cases"]
    ]


def _absent(case: Mapping[str, Any]) -> int:
    if "missing" in case:
        return len(case["missing"])
    return sum("missing" in one for said in case.get("responses", {}).values() for one in said)


def case_texts(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the panel of one case shows: the prompt and every response, with labels."""
    return {
        "prompt": case.get("prompt", ""),
        "present": case.get("present"),
        "pairs": case.get("pairs", {}).get("similarity"),
        "places": case.get("places"),
        "responses": [
            {"model": model, "said": [_said(response) for response in responses]}
            for model, responses in case.get("responses", {}).items()
        ],
    }


def _said(response: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("text", "label", "correct", "why", "votes", "missing", "served_model")
    said = {name: response[name] for name in kept if name in response}
    if response["finish"] != "stop":
        said["finish"] = response["finish"]
    return said
