"""Whatever a server sends, an adapter reads it: a text, or a named reason, never an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.anthropic import AnthropicAdapter
from pytest_convergence.models.callables import CallableAdapter
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.fidelity import rejected_parameters
from pytest_convergence.models.gemini import GeminiAdapter
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.response import Finish, MissingKind
from pytest_convergence.models.wire import Adapter, WireRequest, WireResponse

ADAPTERS: list[Adapter] = [OpenAIAdapter(), AnthropicAdapter(), GeminiAdapter(), CallableAdapter()]

# The names that the formats use, so that random objects reach deep into the readers.
NAMES = st.sampled_from(
    """choices message content finish_reason text refusal error code param type metadata raw
    reasons innererror usage prompt_tokens completion_tokens completion_tokens_details
    reasoning_tokens cost logprobs token logprob top_logprobs tool_calls function function_call
    name model created provider system_fingerprint stop_reason stop_details category explanation
    input_tokens output_tokens output_tokens_details thinking_tokens candidates parts finishReason
    thought finishMessage functionCall logprobsResult chosenCandidates topCandidates candidates
    logProbability promptFeedback blockReason usageMetadata promptTokenCount thoughtsTokenCount
    modelVersion createTime detail loc msg missing kind reason finish top date""".split()  # noqa: SIM905
)
WORDS = st.sampled_from(
    "text stop length content_filter error refusal max_tokens SAFETY STOP OTHER tool_use".split()  # noqa: SIM905
)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**400, max_value=10**400 + 5)
    | st.floats()
    | ANY_TEXT
    | WORDS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 302, 400, 401, 422, 429, 500, 529])


def check(adapter: Adapter, response: WireResponse) -> None:
    read = adapter.parse(response)
    assert isinstance(read.text, str)
    assert read.finish in get_args(Finish)
    if read.missing is None:
        assert read.text.strip()
        assert 200 <= response.status < 300
    else:
        assert read.missing.kind in get_args(MissingKind)
        assert read.missing.reason
        assert len(read.missing.reason) <= 500
    json.dumps(
        [read.usage.input_tokens, read.usage.cost, [token.logprob for token in read.logprobs]],
        allow_nan=False,
    )


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
@given(value=VALUES, status=STATUSES)
def test_any_json_is_read(adapter: Adapter, value: Any, status: int) -> None:
    body = json.dumps(value)
    check(adapter, WireResponse(status, {}, body))
    rejected_parameters(Decoding(temperature=1.0, seed=1), WireResponse(status, {}, body))


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
@given(body=ANY_TEXT, status=STATUSES, date=ANY_TEXT)
def test_any_text_is_read(adapter: Adapter, body: str, status: int, date: str) -> None:
    check(adapter, WireResponse(status, {"date": date}, body))


SHAPES: list[dict[str, Any]] = [
    {
        "choices": [{"message": {"content": "x" * 60}, "finish_reason": "stop"}],
        "usage": {"cost": 1},
    },
    {"content": [{"type": "text", "text": "x" * 60}], "stop_reason": "end_turn"},
    {"candidates": [{"content": {"parts": [{"text": "x" * 60}]}, "finishReason": "STOP"}]},
    {"text": "x" * 60},
]


@pytest.mark.parametrize(("adapter", "shape"), list(zip(ADAPTERS, SHAPES, strict=True)))
@given(cut=st.integers(min_value=0, max_value=200))
def test_half_an_answer_is_never_an_answer(
    adapter: Adapter, shape: dict[str, Any], cut: int
) -> None:
    body = json.dumps(shape)
    half = body[: min(cut, len(body) - 1)]
    read = adapter.parse(WireResponse(200, {}, half))
    assert read.missing is not None
    assert read.missing.kind == "error"
    assert adapter.parse(WireResponse(200, {}, body)).text == "x" * 60


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
@given(prompt=ANY_TEXT.filter(bool), system=st.none() | ANY_TEXT)
def test_any_prompt_makes_the_same_ascii_request_twice_or_holds_half_a_character(
    adapter: Adapter, prompt: str, system: str | None
) -> None:
    def build() -> WireRequest:
        decoding = Decoding(system=system)
        return adapter.request(model="m", base_url="https://h/v1", prompt=prompt, decoding=decoding)

    if re.search("[\ud800-\udfff]", prompt + (system or "")):
        with pytest.raises(SettingsError, match="half a character"):
            build()
        return
    one = build()
    assert one == build()
    assert one.body.isascii()
    assert prompt in list(_texts(json.loads(one.body)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
