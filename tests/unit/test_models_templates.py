"""Requests put together of a template are those that the adapter makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence.models.anthropic import AnthropicAdapter
from pytest_convergence.models.callables import CallableAdapter
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.gemini import GeminiAdapter
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.response import Response
from pytest_convergence.models.templates import RequestTemplate, encoded
from pytest_convergence.models.wire import Adapter, Model, WireRequest, WireResponse

ADAPTERS: list[Adapter] = [OpenAIAdapter(), AnthropicAdapter(), GeminiAdapter(), CallableAdapter()]
DECODINGS = [
    Decoding(),
    Decoding(temperature=0.7, max_tokens=20, system='Say "no".', stop=("\n",)),
    Decoding(extra=(("min_p", 0.1), ("zz", {"content": "x"}))),
]


AWKWARD = ['"\\ \x00 \x7f', "\x00 the prompt \x00", "{answer}", ""]


def model_of(adapter: Adapter) -> Model:
    return Model("mine/one", "mine", "one", "http://127.0.0.1:1/v1", adapter)


@pytest.mark.parametrize("decoding", DECODINGS, ids=["plain", "full", "extra"])
@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
@given(
    prompt=st.text() | st.sampled_from(['"\\ \x00 \x7f', "\x00 the prompt \x00", "{answer}", ""])
)
def test_a_filled_template_is_the_adapters_own_request(
    adapter: Adapter, decoding: Decoding, prompt: str
) -> None:
    text, model = encoded(prompt), model_of(adapter)
    template = RequestTemplate.of(model, decoding)
    assert template is not None
    if text is not None:
        assert template.filled(text) == adapter.request(
            model=model.model, base_url=model.base_url, prompt=prompt, decoding=decoding
        )


@pytest.mark.parametrize(
    "prompt", ["half \ud800", "whole \U0001f600", [{"role": "user", "content": "two"}]]
)
def test_what_an_adapter_has_to_look_at_goes_into_no_template(prompt: Prompt) -> None:
    assert encoded(prompt) is None


class Counting:
    """An adapter of somebody else, whose request tells the length of the prompt."""

    def inexpressible(self, decoding: Decoding) -> tuple[str, ...]:
        return ()

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        return WireRequest("POST", base_url, str(len(prompt)))

    def headers(self, key: str | None) -> Mapping[str, Any]:
        return {}

    def parse(self, response: WireResponse) -> Response:
        return Response(response.body)


class Claiming(Counting):
    verbatim = True


class Derived(OpenAIAdapter):
    """Made of one of ours, and not to be believed what that one says."""


@pytest.mark.parametrize(
    "adapter", [Counting(), Claiming(), Derived()], ids=lambda one: type(one).__name__
)
def test_an_adapter_that_may_do_otherwise_makes_its_own_requests(adapter: Any) -> None:
    assert RequestTemplate.of(model_of(adapter), Decoding()) is None


def test_a_parameter_that_looks_like_the_mark_is_no_place_for_the_prompt() -> None:
    decoding = Decoding(extra=(("aaa", "\x00 the prompt \x00"),))
    assert RequestTemplate.of(model_of(OpenAIAdapter()), decoding) is None
