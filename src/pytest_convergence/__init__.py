"""Do language models behave alike on your prompts, how sure is that, and did it change?

Write it as a pytest test. The public surface is loaded on first use, so that the plugin costs
nothing where it is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_convergence.assertions import assert_converges, assert_diverges, from_responses
    from pytest_convergence.errors import ConvergenceError
    from pytest_convergence.model_groups import ModelGroupsResult, convergent_groups
    from pytest_convergence.models.callables import callable_model
    from pytest_convergence.models.response import Response
    from pytest_convergence.rate_results import RateDifferenceResult, RateResult
    from pytest_convergence.rates import assert_rate, assert_rate_difference
    from pytest_convergence.represent import labels
    from pytest_convergence.represent.features import Label
    from pytest_convergence.represent.kernels import kernel
    from pytest_convergence.results import ConvergenceFailure, ConvergenceResult
    from pytest_convergence.same_model import SameModelResult, assert_same_model
    from pytest_convergence.stats.power import (
        families_needed,
        power,
        spread_from_pilot,
        spread_from_values,
        suggest_threshold,
    )
    from pytest_convergence.swap import assert_equivalent

_HOMES = {
    "ConvergenceError": "errors",
    "ConvergenceFailure": "results",
    "ConvergenceResult": "results",
    "Label": "represent.features",
    "ModelGroupsResult": "model_groups",
    "RateDifferenceResult": "rate_results",
    "RateResult": "rate_results",
    "Response": "models.response",
    "SameModelResult": "same_model",
    "assert_converges": "assertions",
    "assert_diverges": "assertions",
    "assert_equivalent": "swap",
    "assert_rate": "rates",
    "assert_rate_difference": "rates",
    "assert_same_model": "same_model",
    "callable_model": "models.callables",
    "convergent_groups": "model_groups",
    "families_needed": "stats.power",
    "from_responses": "assertions",
    "kernel": "represent.kernels",
    "labels": "represent",
    "power": "stats.power",
    "spread_from_pilot": "stats.power",
    "spread_from_values": "stats.power",
    "suggest_threshold": "stats.power",
}

__all__ = [
    "ConvergenceError",
    "ConvergenceFailure",
    "ConvergenceResult",
    "Label",
    "ModelGroupsResult",
    "RateDifferenceResult",
    "RateResult",
    "Response",
    "SameModelResult",
    "assert_converges",
    "assert_diverges",
    "assert_equivalent",
    "assert_rate",
    "assert_rate_difference",
    "assert_same_model",
    "callable_model",
    "convergent_groups",
    "families_needed",
    "from_responses",
    "kernel",
    "labels",
    "power",
    "spread_from_pilot",
    "spread_from_values",
    "suggest_threshold",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "labels":
        return import_module(f"{__name__}.represent.labels")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
