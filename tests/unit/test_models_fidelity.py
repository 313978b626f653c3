from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.fidelity import (
    ignored_parameters,
    rejected_parameters,
    served_another,
)
from pytest_convergence.models.response import Missing, Response, TokenLogprob, Usage
from pytest_convergence.models.wire import WireResponse

ALL = Decoding.from_mapping(
    {
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": 1,
        "stop": "END",
        "system": "Brief.",
        "top_logprobs": 2,
        "extra": {"min_p": 0.1, "generationConfig": {"topK": 3}},
    },
    where="a test",
)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message} | more}


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        # OpenAI's reasoning models
        (
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                type="invalid_request_error",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            400,
            ("max_tokens",),
        ),
        (
            error("Unsupported value: 'temperature' does not support 0.2", param="temperature"),
            400,
            ("temperature",),
        ),
        # Anthropic
        (
            error("`temperature` and `top_p` cannot both be specified"),
            400,
            ("temperature", "top_p"),
        ),
        (error("`temperature` is deprecated for this model."), 400, ("temperature",)),
        (error("min_p: Extra inputs are not permitted"), 400, ("extra.min_p",)),
        # Gemini
        (
            error(
                'Invalid JSON payload received. Unknown name "topK" at '
                "'generation_config': Cannot find field.",
                status="INVALID_ARGUMENT",
            ),
            400,
            ("extra.topK",),
        ),
        (error("Logprobs is not supported for this model"), 400, ("top_logprobs",)),
        (error("responseLogprobs is not enabled"), 400, ("top_logprobs",)),
        # FastAPI
        ({"detail": [{"loc": ["body", "top_p"], "msg": "less than 1"}]}, 422, ("top_p",)),
        (error("Unknown parameter: seed"), 400, ("seed",)),
        (error("bad", param="seed"), 400, ("seed",)),
        # llama.cpp's Python server answers with a 500
        (error("1 validation error: {'loc': ('body', 'top_p'), 'msg': 'number'}"), 500, ("top_p",)),
        (error("temperature of the GPU too high"), 500, ()),
        # a router, and an error inside a 200
        (
            error(
                "Provider returned error", metadata={"raw": json.dumps(error("x", param="seed"))}
            ),
            400,
            ("seed",),
        ),
        (error("`temperature` is deprecated"), 200, ("temperature",)),
        # about something else
        (error("Rate limit reached for temperature"), 429, ()),
        (error("The system stopped; please stop and seed again"), 400, ()),
        (error("maximum context length exceeded", param="messages"), 400, ()),
        ({"choices": [{"message": {"content": "temperature"}}]}, 200, ()),
        ("<html>temperature</html>", 400, ()),
    ],
)
def test_a_rejected_parameter_is_named(body: Any, status: int, names: tuple[str, ...]) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert rejected_parameters(ALL, WireResponse(status, {}, text)) == names


def test_what_was_not_sent_is_not_named() -> None:
    body = json.dumps(error("`temperature` and `top_p` cannot both be specified"))
    only = Decoding(temperature=0.2)
    assert rejected_parameters(only, WireResponse(400, {}, body)) == ("temperature",)


def test_parameters_without_effect_are_named() -> None:
    responses = [
        Response("a END b", usage=Usage(output_tokens=9)),
        Response("another text", usage=Usage(output_tokens=2)),
    ]
    assert ignored_parameters(ALL, responses) == ("max_tokens", "seed", "stop", "top_logprobs")


def test_parameters_that_were_honoured_or_not_set_are_not_named() -> None:
    logprobs = (TokenLogprob("a", -1.0),)
    honoured = [Response("a", usage=Usage(output_tokens=5), logprobs=logprobs)] * 2
    assert ignored_parameters(ALL, honoured) == ()
    assert ignored_parameters(Decoding(), [Response("a END"), Response("b")]) == ()
    assert ignored_parameters(ALL, [Response("", missing=Missing("error", "x"))]) == ()
    # Some servers leave the stop sequence in the text.
    assert ignored_parameters(Decoding(stop=("END",)), [Response("the END ")]) == ()


@pytest.mark.parametrize(
    ("asked", "served", "another"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", False),
        ("gemini-1.5-pro", "models/gemini-1.5-pro-002", False),
        ("meta-llama/llama-3.1-8b:free", "meta-llama/llama-3.1-8b", False),
        ("llama3", "llama3:latest", False),
        ("gpt-4o", None, False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini", "gpt-4o", True),
        ("llama-3.1-70b", "llama-3.1-8b", True),
    ],
)
def test_another_served_model_is_noticed(asked: str, served: str | None, another: bool) -> None:
    assert served_another(asked, served) is another
