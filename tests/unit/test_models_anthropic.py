from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.anthropic import DEFAULT_MAX_TOKENS, AnthropicAdapter
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import WireResponse

ADAPTER = AnthropicAdapter()


def body_of(prompt: Prompt = "Hi", **values: Any) -> dict[str, Any]:
    decoding = Decoding.from_mapping(values, where="a test")
    request = ADAPTER.request(
        model="claude-x", base_url="https://api.anthropic.com/v1", prompt=prompt, decoding=decoding
    )
    assert request.url == "https://api.anthropic.com/v1/messages"
    result = json.loads(request.body)
    assert isinstance(result, dict)
    return result


def read(body: Any, status: int = 200) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"date": "Fri, 20 Nov 2026 10:00:00 GMT"}
    return ADAPTER.parse(WireResponse(status=status, headers=headers, body=text))


def message(*blocks: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    # The shape of the API reference's example.
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-20250514",
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 2095, "output_tokens": 503},
    } | more


def test_a_plain_prompt_is_sent_with_the_limit_that_the_format_requires() -> None:
    assert body_of() == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": DEFAULT_MAX_TOKENS,
    }


def test_every_parameter_the_format_has_is_sent_under_its_name() -> None:
    body = body_of(
        temperature=0.5, top_p=0.9, max_tokens=7, system="Be brief.", stop=("A", "B"),
        extra={"top_k": 5, "thinking": {"type": "adaptive"}},
    )  # fmt: skip
    assert body == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "system": "Be brief.",
        "stop_sequences": ["A", "B"],
        "top_k": 5,
        "thinking": {"type": "adaptive"},
    }


@pytest.mark.parametrize(("name", "value"), [("seed", 0), ("top_logprobs", 3)])
def test_a_parameter_without_a_word_in_the_format_is_an_error(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"anthropic/claude-x cannot be asked with {name}"):
        body_of("Hi", **{name: value})
    decoding = Decoding.from_mapping({name: value, "temperature": 1}, where="a test")
    assert ADAPTER.inexpressible(decoding) == (name,)


def test_system_messages_in_front_become_the_system_text_after_the_setting() -> None:
    prompt = [
        {"role": "system", "content": "You are a judge."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "The verdict is"},
    ]
    body = body_of(prompt, system="Be brief.")
    assert body["system"] == "Be brief.\n\nYou are a judge."
    assert [item["role"] for item in body["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize(
    "prompt",
    [
        [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Late"}],
        [{"role": "system", "content": "Only"}],
    ],
)
def test_system_messages_without_a_place_are_an_error(prompt: Prompt) -> None:
    with pytest.raises(SettingsError, match="system messages"):
        body_of(prompt)


def test_max_tokens_given_as_an_extra_parameter_replaces_the_default() -> None:
    assert body_of(extra={"max_tokens": 9})["max_tokens"] == 9


def test_the_version_is_sent_always_and_the_key_where_there_is_one() -> None:
    assert ADAPTER.headers(None) == {"anthropic-version": "2023-06-01"}
    assert ADAPTER.headers("sk-ant-test")["x-api-key"] == "sk-ant-test"


def test_a_full_answer_is_read() -> None:
    response = read(message({"type": "text", "text": "Hi! My name is Claude."}))
    assert (response.text, response.finish, response.missing) == (
        "Hi! My name is Claude.",
        "stop",
        None,
    )
    assert response.served_model == "claude-sonnet-4-20250514"
    assert response.provider == "anthropic"
    assert response.date == "2026-11-20T10:00:00Z"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (2095, 503)


def test_cached_input_counts_as_input_and_thinking_as_reasoning() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }
    response = read(message({"type": "text", "text": "a"}, usage=usage))
    assert response.usage.input_tokens == 1110
    assert (response.usage.output_tokens, response.usage.reasoning_tokens) == (50, 40)


def test_thinking_is_hidden_and_text_blocks_are_joined() -> None:
    response = read(
        message(
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "redacted_thinking", "data": "y"},
            {"type": "text", "text": "forty"},
            {"type": "text", "text": "-two"},
        )
    )
    assert response.text == "forty-two"


def test_a_refusal_keeps_its_words_and_says_its_category() -> None:
    # The documented example of a classifier's refusal.
    response = read(
        message(
            {"type": "text", "text": "Hello.."},
            stop="refusal",
            stop_details={
                "type": "refusal",
                "category": "cyber",
                "explanation": "This request was declined because it could enable cyber harm.",
            },
        )
    )
    assert (response.finish, response.text, response.refused) == ("refusal", "Hello..", True)
    assert response.missing is not None
    assert response.missing.reason.startswith("refusal: cyber: This request was declined")


def test_a_refusal_without_content_is_refused_and_not_empty() -> None:
    assert read(message(stop="refusal")).refused


@pytest.mark.parametrize("stop", ["max_tokens", "model_context_window_exceeded", "pause_turn"])
def test_an_unfinished_turn_is_truncated(stop: str) -> None:
    response = read(message({"type": "text", "text": "The capital"}, stop=stop))
    assert response.finish == "length"
    assert response.missing is not None
    assert response.missing.kind == "truncated"
    assert stop in response.missing.reason


def test_an_answer_cut_off_by_our_default_says_what_to_set() -> None:
    usage = {"input_tokens": 1, "output_tokens": DEFAULT_MAX_TOKENS}
    response = read(message({"type": "text", "text": "x"}, stop="max_tokens", usage=usage))
    assert response.missing is not None
    assert "set max_tokens" in response.missing.reason


def test_a_stop_sequence_is_a_usual_stop() -> None:
    response = read(message({"type": "text", "text": "a"}, stop="stop_sequence"))
    assert (response.finish, response.missing) == ("stop", None)


def test_a_tool_call_alone_is_empty_and_names_the_tool() -> None:
    block = {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {}}
    response = read(message(block, stop="tool_use"))
    assert response.finish == "tool"
    assert response.missing is not None
    assert response.missing.kind == "empty"
    assert "get_weather" in response.missing.reason


def test_an_empty_turn_is_empty() -> None:
    response = read(message())
    assert response.missing is not None
    assert (response.missing.kind, response.missing.reason) == ("empty", "no text (end_turn)")


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (400, "invalid_request_error", "max_tokens: Field required"),
        (401, "authentication_error", "invalid x-api-key"),
        (429, "rate_limit_error", "This request would exceed your rate limit"),
        (500, "api_error", "Internal server error"),
        (529, "overloaded_error", "Overloaded"),
        (200, "overloaded_error", "Overloaded"),
    ],
)
def test_an_error_says_status_kind_and_message(status: int, kind: str, told: str) -> None:
    error = {"type": "error", "error": {"type": kind, "message": told}, "request_id": "req_011"}
    response = read(error, status)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert response.missing.reason == f"HTTP {status} {kind}: {told}"


@pytest.mark.parametrize(
    "body", [{"type": "message"}, {"content": None}, {"content": "text"}, {"completion": "old"}]
)
def test_a_message_without_content_is_an_error(body: dict[str, Any]) -> None:
    response = read(body)
    assert response.missing is not None
    assert (response.missing.kind, response.missing.reason) == ("error", "no content in the answer")
