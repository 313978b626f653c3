"""The quick reader of plain completions never says anything else than the careful one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence.models.openai import read_with_care
from pytest_convergence.models.plain_chat import COST_HEADER, plain_answer
from pytest_convergence.models.wire import WireResponse

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 3, 2.0, 2.5, 10**30, "", " ", "12", "text", [], {}, ["stop"]]
)
COUNTS = st.integers(0, 5000) | ODD
TEXTS = st.text(max_size=30) | st.sampled_from(["<think>no</think> yes", "\n ", "Canberra."])


def mostly(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nearly always what belongs there, so that whole answers are often plain."""
    return st.integers(0, 29).flatmap(lambda draw: ODD if draw == 0 else value)


MESSAGES = st.fixed_dictionaries(
    {"content": mostly(TEXTS)},
    optional={"role": st.just("assistant"), "refusal": mostly(st.none()), "tool_calls": ODD},
)
CHOICES = st.fixed_dictionaries(
    {"message": mostly(MESSAGES), "finish_reason": mostly(st.just("stop"))},
    optional={"index": st.just(0), "logprobs": mostly(st.none()), "error": mostly(st.none())},
)
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "reasoning_tokens": mostly(st.none()),
        "completion_tokens_details": mostly(
            st.fixed_dictionaries({}, optional={"reasoning_tokens": COUNTS})
        ),
        "cost": mostly(st.floats(0, 1)),
    },
)
BODIES = st.fixed_dictionaries(
    {"created": mostly(st.integers(1, 10**10)), "choices": st.lists(mostly(CHOICES), max_size=2)},
    optional={
        "model": mostly(st.just("gpt-4o")),
        "system_fingerprint": mostly(st.just("fp_1")),
        "provider": mostly(st.just("Together")),
        "usage": mostly(USAGES),
        "error": mostly(st.none()),
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        COST_HEADER: st.sampled_from(["0.002", "-1", "much", "nan"]),
        "date": st.just("Sat, 21 Nov 2026 00:00:00 GMT"),
    },
)


@given(body=BODIES, headers=HEADERS, status=st.sampled_from([200, 200, 201, 429]))
def test_both_readers_agree(body: Any, headers: dict[str, str], status: int) -> None:
    response = WireResponse(status, headers, json.dumps(body))
    plain = plain_answer(response, "vllm")
    assert plain is None or plain == read_with_care(response, "vllm")


def answer(**more: Any) -> WireResponse:
    choice = {"message": {"content": "Canberra."}, "finish_reason": "stop"}
    return WireResponse(200, {}, json.dumps({"created": 1, "choices": [choice], **more}))


def test_an_ordinary_answer_is_plain() -> None:
    usage = {
        "prompt_tokens": 24,
        "completion_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "cost": 0.002,
    }
    response = answer(model="gpt-4o", usage=usage, system_fingerprint="fp_1")
    plain = plain_answer(response, "openai")
    assert plain is not None
    assert plain == read_with_care(response, "openai")
    assert (plain.text, plain.served_model, plain.date) == (
        "Canberra.",
        "gpt-4o",
        "1970-01-01T00:00:01Z",
    )
    assert plain.usage.reasoning_tokens == 5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"created": 1, "choices": [{"message": {"content": "\\ud800"}}]}', id="half"),
        pytest.param("[" * 10_000, id="deep"),
        pytest.param("", id="nothing"),
        pytest.param('{"created": 1e400, "choices": []}', id="huge"),
        pytest.param(json.dumps({"created": 10**14, "choices": [{}]}), id="no-such-year"),
    ],
)
def test_whatever_else_comes_is_left_to_the_careful_reader(body: str) -> None:
    assert plain_answer(WireResponse(200, {}, body), "vllm") is None
