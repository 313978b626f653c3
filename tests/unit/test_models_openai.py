from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import WireResponse

BASE = "https://api.openai.com/v1"
OPENAI = OpenAIAdapter(provider="openai", max_tokens_name="max_completion_tokens")
COMPATIBLE = OpenAIAdapter(provider="vllm")


def body_of(adapter: OpenAIAdapter = OPENAI, **values: Any) -> dict[str, Any]:
    decoding = Decoding.from_mapping(values, where="a test")
    request = adapter.request(model="gpt-4o", base_url=BASE, prompt="Hi", decoding=decoding)
    result = json.loads(request.body)
    assert isinstance(result, dict)
    return result


def read(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return OPENAI.parse(WireResponse(status=status, headers=headers or {}, body=text))


def chat(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    return {"object": "chat.completion", "choices": [choice]} | more


def test_what_is_not_set_is_not_sent() -> None:
    assert body_of() == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


def test_every_decoding_parameter_has_its_place() -> None:
    body = body_of(
        temperature=0.5, top_p=0.9, max_tokens=7, seed=3, system="Be brief.", stop="END",
        top_logprobs=2, extra={"reasoning_effort": "low"},
    )  # fmt: skip
    assert body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 7,
        "seed": 3,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
    }


def test_zero_is_a_value_and_is_sent() -> None:
    body = body_of(temperature=0, seed=0, top_logprobs=0)
    assert (body["temperature"], body["seed"], body["top_logprobs"]) == (0, 0, 0)
    assert body["logprobs"] is True


def test_compatible_servers_get_max_tokens_and_take_the_other_name_through_extra() -> None:
    assert body_of(COMPATIBLE, max_tokens=5)["max_tokens"] == 5
    body = body_of(COMPATIBLE, extra={"max_completion_tokens": 5})
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


def test_equal_questions_are_equal_requests_whatever_the_order_of_their_settings() -> None:
    one, other = (
        OPENAI.request(
            model="m",
            base_url=BASE,
            prompt="Hi",
            decoding=Decoding.from_mapping({"extra": extra}, where="a test"),
        )
        for extra in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert one == other
    assert one.url == "https://api.openai.com/v1/chat/completions"
    assert one.body.isascii()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"n": 5}, "every sample is a request of its own"),
        ({"best_of": 3}, "every sample is a request of its own"),
        ({"stream": True}, "answers are read whole"),
        ({"model": "other"}, "set already"),
        ({"messages": []}, "set already"),
        ({"temperature": 1}, "set already"),
        ({"api_key": "sk-planted-123"}, "written into recordings"),
        ({"litellm_params": {"Authorization": "sk-planted-123"}}, "written into recordings"),
        ({"x": {1, 2}}, "not JSON"),
    ],
)
def test_an_extra_parameter_that_cannot_be_sent_is_an_error(
    extra: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        body_of(temperature=0.5, extra=extra)
    assert said in str(raised.value)
    assert "sk-planted-123" not in str(raised.value)


@pytest.mark.parametrize("values", [{"system": "a\udc00"}, {"extra": {"user": "\ud83d"}}])
def test_half_a_character_is_not_sent(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"holds half a character: \\u"):
        body_of(**values)


def test_the_key_is_in_the_header_and_nowhere_else() -> None:
    assert OPENAI.headers("sk-test") == {"Authorization": "Bearer sk-test"}
    assert OPENAI.headers(None) == {}


def test_a_full_answer_is_read() -> None:
    # The example of the API reference, with log-probabilities and reasoning tokens.
    response = read(
        {
            "id": "chatcmpl-123",
            "object": "chat.completion",
            "created": 1677652288,
            "model": "gpt-4o-mini-2024-07-18",
            "system_fingerprint": "fp_44709d6fcb",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello!", "refusal": None},
                    "logprobs": {
                        "content": [
                            {
                                "token": "Hello",
                                "logprob": -0.31725305,
                                "bytes": [72, 101, 108, 108, 111],
                                "top_logprobs": [
                                    {"token": "Hello", "logprob": -0.31725305, "bytes": None},
                                    {"token": "Hi", "logprob": -1.3190403, "bytes": None},
                                ],
                            },
                            {"token": "!", "logprob": -0.02380986, "top_logprobs": []},
                        ]
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 12,
                "total_tokens": 21,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
        }
    )
    assert (response.text, response.finish, response.missing) == ("Hello!", "stop", None)
    assert response.served_model == "gpt-4o-mini-2024-07-18"
    assert response.system_fingerprint == "fp_44709d6fcb"
    assert response.provider == "openai"
    assert response.date == "2023-03-01T06:31:28Z"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (9, 12)
    assert response.usage.reasoning_tokens == 4
    assert [token.token for token in response.logprobs] == ["Hello", "!"]
    assert response.logprobs[0].top == (("Hello", -0.31725305), ("Hi", -1.3190403))


def test_openrouter_names_the_provider_behind_it_and_the_cost() -> None:
    body = chat({"content": "Hi"}, provider="Together", model="meta-llama/llama-3.1-8b-instruct")
    body["usage"] = {"prompt_tokens": 194, "completion_tokens": 2, "cost": 0.95}
    response = read(body)
    assert (response.provider, response.usage.cost) == ("Together", 0.95)


def test_litellm_tells_the_cost_in_a_header() -> None:
    response = read(chat({"content": "Hi"}), headers={"x-litellm-response-cost": "2.5e-06"})
    assert response.usage.cost == 2.5e-06


def test_the_date_header_stands_in_where_the_body_has_no_date() -> None:
    response = read(chat({"content": "Hi"}), headers={"date": "Fri, 20 Nov 2026 10:00:00 GMT"})
    assert response.date == "2026-11-20T10:00:00Z"


def test_a_refusal_field_is_a_refusal_with_its_words() -> None:
    response = read(chat({"content": None, "refusal": "I can't help with that."}))
    assert (response.finish, response.text) == ("refusal", "I can't help with that.")
    assert response.refused


def test_a_refusal_part_of_a_content_list_is_a_refusal() -> None:
    response = read(chat({"content": [{"type": "refusal", "refusal": "No."}]}))
    assert (response.finish, response.text, response.refused) == ("refusal", "No.", True)


def test_a_content_filter_stop_is_refused_and_keeps_what_was_said() -> None:
    response = read(chat({"content": "First you"}, "content_filter"))
    assert (response.finish, response.text, response.refused) == (
        "content_filter",
        "First you",
        True,
    )


def test_an_azure_content_filter_error_is_refused_and_no_error() -> None:
    error = {
        "message": "The response was filtered",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
    response = read({"error": error}, 400)
    assert (response.finish, response.refused) == ("content_filter", True)


def test_an_answer_cut_off_is_truncated_and_says_after_how_much() -> None:
    body = chat({"content": "The capital of"}, "length", usage={"completion_tokens": 3})
    response = read(body)
    assert response.finish == "length"
    assert response.text == "The capital of"
    assert response.missing is not None
    assert (response.missing.kind, response.missing.reason) == (
        "truncated",
        "cut off after 3 tokens (length)",
    )


def test_reasoning_that_ate_every_token_is_truncated_and_says_so() -> None:
    usage = {"completion_tokens": 64, "completion_tokens_details": {"reasoning_tokens": 64}}
    response = read(chat({"content": ""}, "length", usage=usage))
    assert response.missing is not None
    assert response.missing.kind == "truncated"
    assert "64 of them reasoning" in response.missing.reason


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<think>hm, 7 x 6</think>\n\n42", "42"),
        ("\n<think>\n</think>42", "42"),
        ("<think>never ends", ""),
        ("Use <think> tags", "Use <think> tags"),
        ("42 <think>afterwards</think>", "42 <think>afterwards</think>"),
    ],
)
def test_thoughts_before_the_answer_are_not_the_answer(content: str, text: str) -> None:
    assert read(chat({"content": content, "reasoning_content": "also hidden"})).text == text


def test_text_parts_are_joined_and_thinking_parts_left_out() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "forty"},
        {"type": "text", "text": "-two"},
    ]
    assert read(chat({"content": parts})).text == "forty-two"


@pytest.mark.parametrize(
    ("message", "finish", "reason"),
    [
        ({"content": None}, "stop", "no text (stop)"),
        ({"content": " \n\t"}, "stop", "no text (stop)"),
        ({}, None, "no text"),
        (
            {"content": None, "tool_calls": [{"function": {"name": "search"}}]},
            "tool_calls",
            "it called search instead",
        ),
        ({"content": None, "function_call": {"name": "old"}}, "function_call", "it called old"),
    ],
)
def test_an_answer_without_text_is_empty_and_says_why(
    message: dict[str, Any], finish: str | None, reason: str
) -> None:
    response = read(chat(message, finish))
    assert response.missing is not None
    assert response.missing.kind == "empty"
    assert reason in response.missing.reason


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"error": {"message": "Overloaded", "code": 503}}, 200, "HTTP 200 Overloaded"),
        ({"error": "model not loaded"}, 200, "HTTP 200 model not loaded"),
        ({"choices": []}, 200, "no choices"),
        ({"choices": None, "message": "quota"}, 200, "no choices in the answer: quota"),
        ({}, 200, "no choices"),
        ("[1, 2]", 200, "not an object: list"),
        ("null", 200, "not an object: NoneType"),
        ("", 200, "HTTP 200 with an empty body"),
        ("  ", 502, "HTTP 502 with an empty body"),
        ('{"choices": [{"mess', 200, "not JSON at character"),
        ("[" * 100_000, 200, "not JSON"),
        ("<html><head><title>502 Bad Gateway</title>", 502, "web page instead of an answer: 502"),
        ("<!DOCTYPE html><p>Sign in", 200, "HTTP 200 with a web page"),
        ('data: {"choices": []}\n\n', 200, "event stream"),
        ("upstream connect error", 503, "HTTP 503: upstream connect error"),
        ({"detail": "Not Found"}, 404, "HTTP 404 Not Found"),
        (
            {"detail": [{"loc": ["body", "temperature"], "msg": "should be a number"}]},
            422,
            "HTTP 422 body.temperature: should be a number",
        ),
        (
            {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}},
            429,
            "HTTP 429 rate_limit_exceeded: Rate limit reached",
        ),
        ({"object": "error", "message": "bad", "type": "BadRequestError"}, 400, "BadRequestError"),
        ("", 302, "HTTP 302"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_with_its_reason(
    body: Any, status: int, reason: str
) -> None:
    response = read(body, status)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert reason in response.missing.reason
    assert len(response.missing.reason) <= 500


def test_openrouter_says_what_the_provider_behind_it_said() -> None:
    raw = json.dumps({"error": {"message": "input must contain 'json'", "param": "input"}})
    error = {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": raw, "provider_name": "OpenAI"},
    }
    response = read({"error": error, "user_id": "org_2x00000000f5"}, 400)
    assert response.missing is not None
    assert "Provider returned error (input must contain 'json')" in response.missing.reason
    assert "org_2x" not in response.missing.reason


def test_openrouter_moderation_is_a_refusal() -> None:
    error = {
        "code": 403,
        "message": "Your chosen model requires moderation and your input was flagged",
        "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"},
    }
    assert read({"error": error}, 403).refused


def test_a_choice_that_broke_off_with_an_error_is_an_error_and_keeps_its_text() -> None:
    body = chat({"content": "Half of"}, "error")
    body["choices"][0]["error"] = {"code": 502, "message": "upstream closed"}
    response = read(body)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert "upstream closed" in response.missing.reason
    assert response.text == "Half of"


def test_a_key_quoted_by_the_provider_is_not_in_the_reason() -> None:
    error = {
        "message": "Incorrect API key provided: sk-proj-abc123*****wxyz in organization "
        "org-A1b2C3d4E5f6",
        "code": "invalid_api_key",
    }
    response = read({"error": error}, 401)
    assert response.missing is not None
    assert "invalid_api_key: Incorrect API key provided: [redacted]" in response.missing.reason
    assert "org-A1" not in response.missing.reason
