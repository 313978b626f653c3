"""Results and responses in JSON types: the entries of a run file, one for each case and group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_convergence.results import CheckResult

if TYPE_CHECKING:
    from pytest_convergence.metrics.estimates import GroupEstimate, Interval
    from pytest_convergence.models.response import Response
    from pytest_convergence.represent.features import Label
    from pytest_convergence.results import CaseResponses, Result

_USAGE = ("input_tokens", "output_tokens", "reasoning_tokens", "cost")
_ORIGIN = ("served_model", "system_fingerprint", "provider", "date")


def number(value: Any) -> float | None:
    """A JSON number; None for nan, infinities and None."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def _numbers(array: Any) -> Any:
    """Nested lists of JSON numbers from an array."""
    import numpy as np

    known = np.isfinite(array)
    return array.tolist() if known.all() else np.asarray(np.where(known, array, None)).tolist()


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "low": number(interval.low),
        "high": number(interval.high),
        "level": interval.level,
        "method": interval.method,
    }


def result_entry(result: Result) -> dict[str, Any]:
    """One result in JSON types: what every case and group entry shares."""
    if isinstance(result, CheckResult):
        return check_entry(result)
    estimate = result.estimate
    entry: dict[str, Any] = {
        "id": result.id,
        "nodeid": result.nodeid,
        "quantity": result.quantity,
        "value": number(result.value),
        "interval": _interval(result.interval),
        "threshold": result.threshold,
        "direction": result.direction,
        "verdict": result.verdict,
        "settled": result.settled,
        "passed": result.passed,
        "reason": result.reason,
        "metric": result.metric,
        "confidence": result.confidence,
        "capability": result.capability,
        "arm": result.arm,
        "models": list(result.models),
        "simulated": list(result.simulated),
        "samples": result.samples,
        "similarity": number(result.similarity),
        "within": number(result.within),
        "missing": [msgspec.structs.asdict(missing) for missing in result.missing],
        "accuracy": {model: number(share) for model, share in result.accuracy.items()},
        "copies": list(result.copies),
        "judges": plain(result.judges),
        "agreement": plain(result.agreement),
        "confounds": plain(result.confounds),
        "settlement": plain(result.settlement),
    }
    if estimate is not None and result.quantity == "similarity":
        entry["present"] = list(estimate.models)
        entry["pairs"] = {"similarity": _numbers(estimate.pairs)}
    elif estimate is not None:
        entry.update(_group_numbers(estimate))  # type: ignore[arg-type]
    return entry


def check_entry(result: CheckResult) -> dict[str, Any]:
    """A check in JSON types: its fields but the responses, and the numbers of its kind.

    What the gate decided is added to groups and checks alike, where there is a baseline.
    """
    return {
        name: plain(value)
        for name, value in msgspec.structs.asdict(result).items()
        if name not in ("cases", "gate")
    }


def plain(value: Any) -> Any:
    """Any result's value in JSON types: structs and dataclasses by field, arrays as lists."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, msgspec.Struct):
        return {name: plain(one) for name, one in msgspec.structs.asdict(value).items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {_key(name): plain(one) for name, one in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return str(value)


def _key(name: Any) -> str:
    return " / ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _group_numbers(estimate: GroupEstimate) -> dict[str, Any]:
    pairs = estimate.pairs
    return {
        "present": list(estimate.models),
        "prompts": list(estimate.prompts),
        "families": estimate.families,
        "score": number(estimate.score),
        "undefined": estimate.undefined,
        "similarity_interval": _interval(estimate.similarity_interval),
        "floor": number(estimate.floor),
        "same_model_floor": number(estimate.same_model_floor),
        "ceiling": number(estimate.ceiling),
        "standard_error": number(estimate.standard_error),
        "own": _numbers(estimate.own),
        "to_others": _numbers(estimate.to_others),
        "by_prompt": _numbers(estimate.by_prompt),
        "leverage": _numbers(estimate.leverage),
        "permutation_mean": number(estimate.permutation_mean),
        "permutation_p": number(estimate.permutation_p),
        "mmd2": number(estimate.mmd2),
        "mmd_p": number(estimate.mmd_p),
        "duplicates": estimate.duplicates,
        "identical": estimate.identical,
        "pairs": {
            name: _numbers(getattr(pairs, name))
            for name in ("similarity", "floor", "ceiling", "score", "low", "high", "mmd2")
        },
    }


def case_entry(case: CaseResponses) -> dict[str, Any]:
    """The responses of one case, with labels, in JSON types."""
    entry: dict[str, Any] = {
        "id": case.id,
        "nodeid": case.nodeid,
        "prompt_id": case.prompt_id,
        "prompt": case.prompt,
        "family": case.family,
        "responses": {
            model: [
                _response(response, labels[position] if labels else None)
                for position, response in enumerate(responses)
            ]
            for model, responses in case.responses.items()
            for labels in (case.labels.get(model),)
        },
    }
    if case.places:
        entry["places"] = {model: list(places) for model, places in case.places.items()}
    return entry


def _response(response: Response, label: Label | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"text": response.text, "finish": response.finish}
    if response.missing is not None:
        entry["missing"] = {"kind": response.missing.kind, "reason": response.missing.reason}
    if label is not None:
        entry["label"] = label.value
        if label.correct is not None:
            entry["correct"] = label.correct
        if label.why:
            entry["why"] = label.why
        if label.votes:
            entry["votes"] = dict(label.votes)
    usage = {name: value for name in _USAGE if (value := getattr(response.usage, name)) is not None}
    if usage:
        entry["usage"] = usage
    for name in _ORIGIN:
        value = getattr(response, name)
        if value is not None:
            entry[name] = value
    return entry
