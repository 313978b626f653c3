"""What sampling took, and what the providers did not do as asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_convergence.text import printable


def sampling_lines(sampling: Mapping[str, Any] | None) -> list[str]:
    """Lines for the terminal from a run file's ``sampling``; none where nothing was sampled."""
    if not sampling:
        return []
    models: Mapping[str, Mapping[str, Any]] = sampling["by_model"]
    return [_total(models, sampling["seconds"]), *_deviations(models)]


def _total(models: Mapping[str, Mapping[str, Any]], seconds: float) -> str:
    def total(name: str) -> float:
        return float(sum(model[name] for model in models.values()))

    parts = [f"{total('calls'):.0f} calls"]
    if total("retries"):
        parts.append(f"{total('retries'):.0f} of them retries")
    if total("failures"):
        parts.append(f"{total('failures'):.0f} answers failed")
    parts.append(f"{total('input_tokens'):.0f} tokens in, {total('output_tokens'):.0f} out")
    unpriced = sorted(name for name, model in models.items() if model["unpriced"])
    cost = f"${total('cost'):.4f}"
    parts.append(f"{cost} and what has no price" if unpriced else cost)
    return f"sampled: {', '.join(parts)} in {seconds:.0f} s"


def _deviations(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, model in models.items():
        shown = printable(name, limit=60)
        if model["another"] and not name.startswith("sim/"):
            served = ", ".join(printable(other, limit=60) for other in model["served"])
            yield f"  {shown} was answered by another model: {served}"
        for verb in ("rejected", "ignored"):
            if model[verb]:
                yield f"  {shown} {verb} {printable(', '.join(model[verb]), limit=200)}"
        if model["unasked"]:
            yield f"  {shown}: {model['unasked']} samples not asked for, the budget is spent"
