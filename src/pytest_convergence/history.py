"""Runs that are kept, small, so that a report can say where a capability has been going."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ConvergenceError

SCHEMA = "pytest-convergence/kept-run"
VERSION = 1
KEPT = 200
"""How many runs are kept; the oldest go first."""

_FIELDS = (
    *("id", "quantity", "value", "interval", "similarity", "floor", "ceiling", "threshold"),
    *("direction", "verdict", "passed", "metric", "samples", "models", "capability", "arm"),
)


def kept_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run without its cases: every group's figures, and who was asked."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "created": run["created"],
        "models": [
            {name: model[name] for name in ("name", "simulated", "responses", "missing", "served")}
            for model in run["models"]
        ],
        "groups": [
            {name: group[name] for name in _FIELDS if name in group} for group in run["groups"]
        ],
    }


def keep_run(run: Mapping[str, Any], folder: Path) -> Path | None:
    """Keep a run in ``folder`` under its date and the hash of what it found.

    A run that found what the newest kept one did is the same recordings replayed, and one without
    a group says nothing about a capability: neither is kept.

    Returns
    -------
    Path or None
        The file, or None where nothing was kept.

    Raises
    ------
    ConvergenceError
        Where the folder cannot be written to.
    """
    from pytest_convergence.files import write_atomically

    if not run["groups"]:
        return None
    kept = kept_run(run)
    found = {name: value for name, value in kept.items() if name != "created"}
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]
    names = _names(folder)
    if names and names[-1].stem.endswith(digest):
        return None
    moment = "".join(character for character in run["created"][:19] if character.isalnum())
    path = folder / f"{moment}Z-{digest}.json"
    try:
        write_atomically(path, json.dumps(kept, ensure_ascii=True).encode())
        for old in names[: max(0, len(names) + 1 - KEPT)]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise ConvergenceError(
            f"the run cannot be kept in {folder}: {error.strerror}",
            fix=["make the folder writable; nothing else depends on it"],
        ) from None
    return path


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The kept runs of a folder, oldest first; none where there is no folder.

    A file that is no kept run, or was cut short, is passed over: it is a convenience, and the
    report stands without it.
    """
    found = []
    for path in _names(folder):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(kept, dict) and (kept.get("schema"), kept.get("version")) == (
            SCHEMA,
            VERSION,
        ):
            found.append(kept)
    return sorted(found, key=lambda kept: str(kept["created"]))


def with_run(history: list[dict[str, Any]], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The history up to a run, the run itself last, whether or not it was kept."""
    before = [kept for kept in history if kept["created"] < run["created"]]
    return [*before, kept_run(run)]


def _names(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))
