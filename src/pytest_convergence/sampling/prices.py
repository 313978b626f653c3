"""What tokens cost, from the maintained price list of the genai-prices package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pytest_convergence.models.response import Usage
from pytest_convergence.models.wire import Model

_MILLION = 1_000_000
# Providers whose answers say what they cost.
_REPORTING = {"openrouter"}


@dataclass(frozen=True)
class Price:
    """What one model's tokens cost.

    Attributes
    ----------
    source
        ``library``, ``settings``, ``reported`` (by the provider, with each answer), ``free``
        (it answers on this machine or network), or ``unknown``.
    """

    source: str
    _of: Callable[[int, int], float | None]

    @property
    def known(self) -> bool:
        """Whether a cost can be told, before or with the answer."""
        return self.source != "unknown"

    def of_tokens(self, input_tokens: float, output_tokens: float) -> float | None:
        """US dollars for these tokens, or None where nobody knows."""
        return self._of(round(input_tokens), round(output_tokens))

    def of(self, usage: Usage) -> float | None:
        """US dollars for one answer: what the provider says, else by the list."""
        if usage.cost is not None:
            return usage.cost
        if usage.input_tokens is None and usage.output_tokens is None:
            return 0.0 if self.source == "free" else None
        return self._of(usage.input_tokens or 0, usage.output_tokens or 0)


def price_of(model: Model, given: Mapping[str, tuple[float, float]]) -> Price:
    """The price of a model.

    Parameters
    ----------
    given
        US dollars for a million tokens (of the prompt, of the answer) by model; they come first.
    """
    if model.name in given:
        per_input, per_output = given[model.name]
        return Price("settings", partial(_linear, per_input, per_output))
    if model.transport is not None or _private(model.base_url):
        return Price("free", partial(_linear, 0.0, 0.0))
    listed = _listed(model)
    if listed is not None:
        return Price("library", listed)
    return Price("reported" if model.provider in _REPORTING else "unknown", _unknown)


def _linear(per_input: float, per_output: float, inputs: int, outputs: int) -> float:
    return (inputs * per_input + outputs * per_output) / _MILLION


def _unknown(inputs: int, outputs: int) -> None:
    del inputs, outputs


def _private(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal"))


def _listed(model: Model) -> Callable[[int, int], float | None] | None:
    try:
        from genai_prices import Usage as Tokens
        from genai_prices import calc_price
    except ImportError:
        return None

    def cost(inputs: int, outputs: int) -> float:
        tokens: Any = Tokens(input_tokens=inputs, output_tokens=outputs)
        price = calc_price(tokens, model.model, provider_api_url=model.base_url)
        return float(price.total_price)

    try:
        cost(1, 1)
    except (LookupError, ValueError):
        return None
    return cost
