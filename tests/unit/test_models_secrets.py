from __future__ import annotations

import time

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.secrets import kept_headers, redact, refuse_secrets


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-HUNTER2*****HUNTER2.",
        "invalid x-api-key sk-ant-api03-HUNTER22-x",
        "API key not valid: AIzaSyHUNTER2HUNTER2HUNTER2",
        "token ya29.HUNTER2-a_b.c",
        '{"Authorization": "Bearer HUNTER2abc"}',
        "authorization: Basic HUNTER2HUNTER2",
        "https://host/v1beta/models?key=1&api_key=HUNTER2&x=1",
        "x-goog-api-key: HUNTER2",
        "password='HUNTER2'",
        "organization org-HUNTER2HUNTER2",
        "user_2HUNTER2HUNTER2 has no access to proj_HUNTER22",
        "gsk_HUNTER2HUNTER2 xai-HUNTER2HUNTER2 hf_HUNTER2HUNTER2 nvapi-HUNTER2HUNTER2",
    ],
)
def test_what_has_the_shape_of_a_key_is_redacted(text: str) -> None:
    assert "HUNTER2" not in redact(text)
    assert "[redacted]" in redact(text)


def test_a_given_secret_is_redacted_whatever_its_shape() -> None:
    assert redact("cannot use plainword here", None, "", "plainword") == (
        "cannot use [redacted] here"
    )


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: Field required",
        "invalid_api_key: Incorrect API key",
        "This model's maximum context length is 8192 tokens",
        "sk-learn and risk-averse key-value stores in user-space",
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000",
    ],
)
def test_ordinary_messages_stay_readable(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("part", ["key-", "apikey:", "password = ", "sk-a.", "bearer "])
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    start = time.perf_counter()
    redact(part * (200_000 // len(part)))
    assert time.perf_counter() - start < 5  # minutes, where it is quadratic


def test_only_allowed_headers_are_kept() -> None:
    headers = {
        "Date": "d",
        "Content-Type": "application/json",
        "Retry-After": "3",
        "retry-after-ms": "300",
        "X-RateLimit-Remaining-Tokens": "5",
        "anthropic-ratelimit-requests-reset": "t",
        "x-request-id": "r",
        "request-id": "q",
        "x-litellm-response-cost": "0.1",
        "Set-Cookie": "HUNTER2",
        "openai-organization": "HUNTER2",
        "openai-project": "HUNTER2",
        "anthropic-organization-id": "HUNTER2",
        "x-litellm-key-spend": "HUNTER2",
        "Authorization": "HUNTER2",
        "x-new-thing": "HUNTER2",
    }
    assert list(kept_headers(headers)) == [
        "anthropic-ratelimit-requests-reset",
        "content-type",
        "date",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-litellm-response-cost",
        "x-ratelimit-remaining-tokens",
        "x-request-id",
    ]


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "API-Key", "x-api-key", "Authorization", "access_token", "client_secret",
     "aws_secret_access_key", "password", "key", "token", "cookie", "organization", "credentials"],
)  # fmt: skip
def test_a_parameter_named_like_a_key_is_refused_at_any_depth(name: str) -> None:
    for value in ({name: "HUNTER2"}, {"a": {"b": [{name: "HUNTER2"}]}}):
        with pytest.raises(SettingsError, match="written into recordings") as raised:
            refuse_secrets(value, where="a test")
        assert "HUNTER2" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "min_tokens", "logit_bias", "tokenizer", "keep_alive", "prompt_cache_key",
     "stop_token_ids", "safety_identifier", "user", "metadata", "monkey", "secretary"],
)  # fmt: skip
def test_ordinary_parameters_are_let_through(name: str) -> None:
    refuse_secrets({name: 1}, where="a test")
