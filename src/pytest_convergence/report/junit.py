"""Numbers of an eval as JUnit properties: strings on its own report, so that workers keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_convergence.text import printable


def properties(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name and value of each property, from the entries that ride on a test's report.

    Several results of one test are told apart by a number: ``convergence.2.value``.
    """
    found: list[tuple[str, str]] = []
    for number, entry in enumerate(entries, 1):
        prefix = "convergence" if number == 1 else f"convergence.{number}"
        found += [(f"{prefix}.{name}", value) for name, value in _of(entry["result"])]
    return found


def _of(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("quantity", "verdict", "value", "threshold", "metric", "capability", "reason"):
        if result.get(name) not in (None, ""):
            yield name, _text(result[name])
    if result.get("interval"):
        yield "low", _text(result["interval"]["low"])
        yield "high", _text(result["interval"]["high"])
    gate = result.get("gate")
    if gate:
        yield "gate", gate["status"]
        for name in ("before", "difference"):
            if gate.get(name) is not None:
                yield f"gate.{name}", _text(gate[name])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return printable(str(value), limit=300)
