"""The run file: every number of a run, per case and group, with texts and labels.

``--convergence-json`` writes it and ``.convergence/runs`` keeps it. The schema is described in
``docs/run-file.md``; ``VERSION`` rises when a reader would have to change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.results import CheckResult

if TYPE_CHECKING:
    from pytest_convergence.metrics.estimates import GroupEstimate, Interval
    from pytest_convergence.models.response import Response
    from pytest_convergence.record import RunRecord
    from pytest_convergence.represent.features import Label
    from pytest_convergence.results import CaseResponses, Result
    from pytest_convergence.settings import Settings

_USAGE = ("input_tokens", "output_tokens", "reasoning_tokens", "cost")
_ORIGIN = ("served_model", "system_fingerprint", "provider", "date")

SCHEMA = "pytest-convergence/run"
VERSION = 1


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


def merge_entries(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Cases and groups from what each test reported, each once, sorted by id.

    A case's own result and its group's copy of its responses become one entry, whatever the order
    in which they arrive.
    """
    cases: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    checks: dict[str, dict[str, Any]] = {}
    for entry in entries:
        own = entry["kind"] != "group"
        for case in entry["cases"]:
            known = cases.setdefault(case["id"], {})
            # What a case's own test made of its responses goes before its group's.
            cases[case["id"]] = {**known, **case} if own else {**case, **known}
        result = entry["result"]
        if result["quantity"] not in ("similarity", "score"):
            checks[result["id"]] = {**result, "cases": [case["id"] for case in entry["cases"]]}
        elif entry["kind"] == "group":
            groups[result["id"]] = {**result, "cases": [case["id"] for case in entry["cases"]]}
        else:
            # A further assertion about a case stands beside the first, with the same responses.
            same = entry["cases"][0] if len(entry["cases"]) == 1 else {}
            cases[result["id"]] = {**same, **cases.get(result["id"], {}), **result}
    return {
        "cases": [cases[name] for name in sorted(cases)],
        "groups": [groups[name] for name in sorted(groups)],
        "checks": [checks[name] for name in sorted(checks)],
    }


def _cleaned(run: dict[str, Any]) -> dict[str, Any]:
    """A run without the environment's keys, wherever a prompt or an answer holds one."""
    from pytest_convergence.models.secrets import known_keys, without_keys

    if not known_keys():
        return run
    text = json.dumps(run)
    clean = without_keys(text)
    return run if clean == text else dict(json.loads(clean))


def build_run(record: RunRecord, settings: Settings, *, command: Iterable[str]) -> dict[str, Any]:
    """The merged run: the same whatever the number of workers and the order of tests."""
    merged = merge_entries(record.entries)
    return _cleaned(
        {
            "schema": SCHEMA,
            "version": VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": list(command),
            "settings": {
                name: settings[name]
                for name in ("record", "samples", "embedder", "confidence", "decoding", "responses")
            },
            "models": _models(merged["cases"], [*merged["groups"], *merged["checks"]]),
            **merged,
            "sampling": _sampling(record),
            "problems": list(record.problems),
            "extra": {},
        }
    )


def _sampling(record: RunRecord) -> dict[str, Any] | None:
    """What sampling took in all processes, or None where nothing was sampled."""
    if not record.sampling:
        return None
    from pytest_convergence.sampling.tally import SamplingReport

    return SamplingReport.merged(map(SamplingReport.from_dict, record.sampling)).as_dict()


def _models(
    cases: Iterable[Mapping[str, Any]], groups: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Who was asked, under which name each served, and what it used and lacked."""
    simulated = {name for entry in (*cases, *groups) for name in entry.get("simulated", ())}
    models: dict[str, dict[str, Any]] = {}
    for case in cases:
        for name, responses in case.get("responses", {}).items():
            model = models.setdefault(
                name,
                {
                    "name": name,
                    "simulated": name in simulated,
                    "responses": 0,
                    "missing": {},
                    "served": {},
                    "usage": {},
                },
            )
            for response in responses:
                _count(model, response)
    for model in models.values():
        # Amounts that are finite may add up to one that is not.
        model["usage"] = {name: _finite(total) for name, total in model["usage"].items()}
    return list(models.values())


def _finite(total: float) -> float | None:
    return total if math.isfinite(total) else None


def _count(model: dict[str, Any], response: Mapping[str, Any]) -> None:
    model["responses"] += 1
    # A name of its own hides no simulation: whoever answered says so.
    model["simulated"] = model["simulated"] or response.get("provider") == "sim"
    if "missing" in response:
        kind = response["missing"]["kind"]
        model["missing"][kind] = model["missing"].get(kind, 0) + 1
    if "served_model" in response:
        served = response["served_model"]
        model["served"][served] = model["served"].get(served, 0) + 1
    for name, value in response.get("usage", {}).items():
        model["usage"][name] = model["usage"].get(name, 0) + value


def write_run(run: Mapping[str, Any], path: Path) -> None:
    """Write a run file, atomically; lone surrogates survive as escapes.

    Raises
    ------
    ConvergenceError
        Where the file cannot be written.
    """
    from pytest_convergence.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _as_json(run), durable=False)
    except OSError as error:
        raise ConvergenceError(
            f"the run file {path} cannot be written: {error.strerror}",
            fix=["give --convergence-json a path in a folder you may write to"],
        ) from None


def _as_json(run: Mapping[str, Any]) -> Iterator[bytes]:
    """The run as ASCII JSON, a case at a time: a study's texts are not held twice more."""
    opening = b"{"
    for name, value in run.items():
        yield opening + _ascii(name) + b": "
        opening = b", "
        if not isinstance(value, list):
            yield _ascii(value)
            continue
        for position, entry in enumerate(value):
            yield b", " if position else b"["
            yield _ascii(entry)
        yield b"]" if value else b"[]"
    yield b"}"


def _ascii(value: Any) -> bytes:
    """JSON that is ASCII, so that no answer steers the terminal that the file is shown on."""
    try:
        data = msgspec.json.encode(value)
    except (UnicodeEncodeError, TypeError):  # lone surrogates, which only ``json`` writes
        data = b""
    return data if data.isascii() and data else json.dumps(value).encode("ascii")


def read_run(path: Path) -> dict[str, Any]:
    """Read a run file.

    Raises
    ------
    ConvergenceError
        Where it is not there, not a run file, or of another version.
    """
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvergenceError(f"{path}: {error.strerror}", fix=["name a run file"]) from None
    except ValueError as error:
        raise ConvergenceError(
            f"{path} is not JSON: {error}", fix=["write it anew with --convergence-json"]
        ) from None
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        raise ConvergenceError(f"{path} is not a run file", fix=["name one written by this tool"])
    if run.get("version") != VERSION:
        raise ConvergenceError(
            f"{path} has schema version {run.get('version')}, this release reads {VERSION}",
            fix=["write it anew with --convergence-json"],
        )
    return dict(run)
