"""The run file: every number of a run, per case and group, with texts and labels.

``--convergence-json`` writes it and ``.convergence/runs`` keeps it. The schema is described in
``docs/run-file.md``; ``VERSION`` rises when a reader would have to change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_convergence.errors import ConvergenceError

if TYPE_CHECKING:
    from pytest_convergence.record import RunRecord
    from pytest_convergence.settings import Settings

SCHEMA = "pytest-convergence/run"
VERSION = 1


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
