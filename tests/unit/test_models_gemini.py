from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.gemini import GeminiAdapter
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import WireRequest, WireResponse

BASE = "https://generativelanguage.googleapis.com/v1beta"
ADAPTER = GeminiAdapter()


def ask(prompt: Prompt = "Hi", model: str = "gemini-2.5-flash", **values: Any) -> WireRequest:
    decoding = Decoding.from_mapping(values, where="a test")
    return ADAPTER.request(model=model, base_url=BASE, prompt=prompt, decoding=decoding)


def read(body: Any, status: int = 200) -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    return ADAPTER.parse(WireResponse(status=status, headers={}, body=text))


def answer(
    *parts: dict[str, Any], finish: str | None = "STOP", candidate: Any = None, **more: Any
) -> dict[str, Any]:
    # The shape of the API reference's example.
    first = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        first["finishReason"] = finish
    return {
        "candidates": [first | (candidate or {})],
        "usageMetadata": {
            "promptTokenCount": 8,
            "candidatesTokenCount": 17,
            "totalTokenCount": 25,
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "Rz8SaZ6iDb2hz7IPzK7h8Ao",
    } | more


def test_a_plain_prompt_is_one_user_turn() -> None:
    request = ask()
    assert request.url == f"{BASE}/models/gemini-2.5-flash:generateContent"
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def test_every_decoding_parameter_has_its_place() -> None:
    request = ask(
        temperature=0.5, top_p=0.9, max_tokens=7, seed=3, system="Be brief.", stop="END",
        top_logprobs=2, extra={"generationConfig": {"topK": 5}, "safetySettings": []},
    )  # fmt: skip
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "maxOutputTokens": 7,
            "seed": 3,
            "stopSequences": ["END"],
            "responseLogprobs": True,
            "logprobs": 2,
            "topK": 5,
        },
        "safetySettings": [],
    }


def test_assistant_turns_are_the_model_s() -> None:
    prompt = [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    body = json.loads(ask(prompt).body)
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["systemInstruction"] == {"parts": [{"text": "Judge."}]}


@pytest.mark.parametrize(
    "config", [{"candidateCount": 4}, {"temperature": 1.0}, {"candidate_count": 2}]
)
def test_an_extra_setting_that_is_set_or_draws_several_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"generationConfig\."):
        ask(temperature=0.5, extra={"generationConfig": config})


def test_a_tuned_model_keeps_its_collection_and_nothing_breaks_out_of_the_path() -> None:
    assert ask(model="tunedModels/mine").url == f"{BASE}/tunedModels/mine:generateContent"
    assert ask(model="a?key=x#y").url == f"{BASE}/models/a%3Fkey%3Dx%23y:generateContent"


def test_the_key_is_in_a_header_and_not_in_the_address() -> None:
    assert ADAPTER.headers("AIzaTest") == {"x-goog-api-key": "AIzaTest"}
    assert ADAPTER.headers(None) == {}


def test_a_full_answer_is_read() -> None:
    response = read(answer({"text": "AI learns "}, {"text": "from data."}))
    assert (response.text, response.finish, response.missing) == (
        "AI learns from data.",
        "stop",
        None,
    )
    assert (response.usage.input_tokens, response.usage.output_tokens) == (8, 17)
    assert (response.served_model, response.provider) == ("gemini-2.5-flash", "gemini")


def test_thoughts_are_hidden_and_counted_as_output_and_reasoning() -> None:
    usage = {"promptTokenCount": 8, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}
    parts = ({"text": "Let me see", "thought": True}, {"text": "42", "thoughtSignature": "x"})
    response = read(answer(*parts, usageMetadata=usage))
    assert response.text == "42"
    assert (response.usage.output_tokens, response.usage.reasoning_tokens) == (43, 40)


def test_a_date_in_the_body_is_kept() -> None:
    response = read(answer({"text": "a"}, createTime="2026-11-20T10:00:00.123456Z"))
    assert response.date == "2026-11-20T10:00:00.123456Z"


def test_log_probabilities_are_read_with_their_alternatives() -> None:
    result = {
        "chosenCandidates": [{"token": "4", "tokenId": 1, "logProbability": -0.1}],
        "topCandidates": [
            {
                "candidates": [
                    {"token": "4", "logProbability": -0.1},
                    {"token": "5", "logProbability": -2.4},
                ]
            }
        ],
    }
    response = read(answer({"text": "4"}, candidate={"logprobsResult": result}))
    (token,) = response.logprobs
    assert (token.token, token.logprob, token.top) == ("4", -0.1, (("4", -0.1), ("5", -2.4)))


def test_a_blocked_prompt_is_a_refusal_that_says_why() -> None:
    body = {
        "promptFeedback": {
            "blockReason": "PROHIBITED_CONTENT",
            "safetyRatings": [
                {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}
            ],
        },
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
        "modelVersion": "gemini-2.5-flash",
    }
    response = read(body)
    assert (response.finish, response.text, response.refused) == ("content_filter", "", True)
    assert response.missing is not None
    assert "PROHIBITED_CONTENT" in response.missing.reason
    assert response.usage.input_tokens == 7


@pytest.mark.parametrize(
    "finish", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"]
)
def test_a_filtered_candidate_is_a_refusal_with_or_without_content(finish: str) -> None:
    body = {"candidates": [{"finishReason": finish, "index": 0, "safetyRatings": []}]}
    assert read(body).refused
    partial = read(answer({"text": "First"}, finish=finish))
    assert (partial.finish, partial.text, partial.refused) == ("content_filter", "First", True)


def test_max_tokens_is_truncated_even_where_thoughts_ate_everything() -> None:
    body = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],
        "usageMetadata": {"promptTokenCount": 8, "thoughtsTokenCount": 64},
    }
    response = read(body)
    assert response.missing is not None
    assert response.missing.kind == "truncated"
    assert "64 of them reasoning" in response.missing.reason


def test_a_function_call_alone_is_empty_and_names_the_function() -> None:
    response = read(answer({"functionCall": {"name": "lookup", "args": {}}}))
    assert response.finish == "tool"
    assert response.missing is not None
    assert response.missing.kind == "empty"
    assert "lookup" in response.missing.reason


@pytest.mark.parametrize("finish", ["MALFORMED_RESPONSE", "OTHER", "PUP_LIMITED_DISABLED"])
def test_a_candidate_that_broke_off_is_an_error(finish: str) -> None:
    body = {"candidates": [{"finishReason": finish, "finishMessage": "told", "index": 0}]}
    response = read(body)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert f"{finish}: told" in response.missing.reason


@pytest.mark.parametrize("body", [{}, {"candidates": []}, {"candidates": None}])
def test_no_candidates_without_a_block_is_an_error(body: dict[str, Any]) -> None:
    response = read(body)
    assert response.missing is not None
    assert (response.missing.kind, response.missing.reason) == (
        "error",
        "no candidates in the answer",
    )


@pytest.mark.parametrize("wrap", [False, True])
def test_an_error_says_status_and_message_also_inside_a_list(wrap: bool) -> None:
    error = {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota",
            "status": "RESOURCE_EXHAUSTED",
        }
    }
    response = read([error] if wrap else error, 429)
    assert response.missing is not None
    assert response.missing.reason == (
        "HTTP 429 RESOURCE_EXHAUSTED: You exceeded your current quota"
    )


def test_a_key_in_an_error_is_not_in_the_reason() -> None:
    told = "API key not valid: AIzaSyD1234567890abcdefghij. Please pass a valid API key."
    response = read({"error": {"code": 400, "message": told}}, 400)
    assert response.missing is not None
    assert "AIza" not in response.missing.reason
