"""Keys planted wherever a key can stand; then everything that was written is searched."""

from __future__ import annotations

import json
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_convergence.housekeeping import check
from pytest_convergence.models.anthropic import AnthropicAdapter
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.gemini import GeminiAdapter
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.wire import Adapter, WireRequest, WireResponse, canonical_json
from tests.recording_parts import model, recordings, unit

ADAPTERS: dict[str, tuple[Adapter, str]] = {
    "openai": (OpenAIAdapter(provider="openai"), "https://api.openai.com/v1"),
    "anthropic": (AnthropicAdapter(), "https://api.anthropic.com/v1"),
    "gemini": (GeminiAdapter(), "https://generativelanguage.googleapis.com/v1beta"),
}
ANSWERS: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Yes.", "refusal": None},
                "logprobs": {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": []}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        "error": {"message": "Incorrect API key", "type": "auth", "param": None, "code": "x"},
        "metadata": {"owner": "ann"},
        "user": "ann",
    },
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "Yes."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"},
        "error": {"type": "authentication_error", "message": "invalid x-api-key"},
        "request_id": "req_1",
    },
    "gemini": {
        "candidates": [
            {
                "content": {"parts": [{"text": "Yes."}], "role": "model"},
                "finishReason": "STOP",
                "safetyRatings": [{"category": "X", "probability": "LOW"}],
            }
        ],
        "modelVersion": "gemini",
        "responseId": "r",
        "error": {"code": 400, "message": "API key not valid", "details": [{"domain": "d"}]},
    },
}
RESPONSE_HEADERS = [
    "content-type",
    "date",
    "retry-after",
    "request-id",
    "x-request-id",
    "set-cookie",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "x-goog-api-key",
    "authorization",
    "server",
    "via",
    "cf-ray",
    "x-ratelimit-limit-requests",
    "anthropic-ratelimit-tokens-remaining",
    "x-litellm-response-cost",
    "x-litellm-key",
    "location",
    "www-authenticate",
    "x-should-retry",
    "x-invented",
]
QUERY = ("key", "api-version", "alt", "model", "token", "access_token")
WRAPPINGS = ("{}", "your key {} is wrong", "Bearer {}", "a\n{}\tb", "https://h/?key={}")

# What may stand in a header is what a key can be made of; a digit keeps it apart from words.
known_keys = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "-_.~+/=!$%&'*\"\\<>|^`{}"),
    min_size=14,
    max_size=60,
).filter(lambda key: any(one.isdigit() for one in key) and key.isprintable())
unknown_keys = st.builds(
    lambda prefix, rest: f"{prefix}{rest}7",
    st.sampled_from(["sk-", "sk-ant-api03-", "gsk_", "AIza", "org-", "hf_", "pplx-", "xai-"]),
    st.text(st.sampled_from(string.ascii_letters + string.digits), min_size=32, max_size=48),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value where a text stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from places(inner, (*path, position))
    elif isinstance(value, str):
        yield path


def planted(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """The value with a text put into one place."""
    if not path:
        return text
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = planted(value[path[0]], path[1:], text)
    return changed


def everything_written(folder: Path) -> str:
    """All files below a folder, as stored and with their JSON texts decoded, and their names."""
    parts = []
    for path in folder.rglob("*"):
        parts.append(path.as_posix())
        if path.is_file():
            text = path.read_text("utf-8")
            parts.append(text)
            decoded = (
                [json.loads(line) for line in text.splitlines()]
                if "journal" in str(path)
                else ([json.loads(text)] if text else [])
            )
            parts += [inner for one in decoded for inner in all_texts(one)]
    return "\n".join(parts)


def all_texts(value: Any) -> Iterator[str]:
    """Every text within a JSON value, and those within the JSON that the texts hold."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from all_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from all_texts(inner)
    elif isinstance(value, str):
        yield value
        if value[:1] in "{[":
            try:
                yield from all_texts(json.loads(value))
            except ValueError:
                return


@settings(max_examples=80, deadline=None)
@given(data=st.data(), known=st.booleans(), wire=st.sampled_from(sorted(ADAPTERS)))
def test_no_planted_key_reaches_a_file_or_a_message(
    data: st.DataObject, known: bool, wire: str
) -> None:
    key = data.draw(known_keys if known else unknown_keys, label="key")
    wrapped = data.draw(st.sampled_from(WRAPPINGS), label="wrapping").format(key)
    adapter, base_url = ADAPTERS[wire]
    asked = adapter.request(
        model="m", base_url=base_url, prompt="Why?", decoding=Decoding(system="Be brief.")
    )
    body = json.loads(asked.body) | {"user": "ann", "metadata": {"user_id": "ann"}}
    body = planted(body, data.draw(st.sampled_from(list(places(body))), label="body"), wrapped)
    name = data.draw(st.sampled_from(QUERY), label="query")
    user, query = quote(key, safe=""), quote(wrapped, safe="")
    url = asked.url.replace("https://", f"https://{user}:{user}@") + f"?{name}={query}"
    said = ANSWERS[wire]
    said = planted(said, data.draw(st.sampled_from(list(places(said))), label="answer"), wrapped)
    response = WireResponse(
        data.draw(st.sampled_from([200, 401]), label="status"),
        dict.fromkeys(RESPONSE_HEADERS, wrapped.replace("\n", " ")),
        data.draw(st.sampled_from([json.dumps(said), json.dumps(said, indent=1), wrapped])),
    )
    member = model(f"{wire}/m", key if known else None)
    asking = unit("why", 3, of=member, asking=WireRequest("POST", url, canonical_json(body)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = recordings(folder)
        kept.keep(asking, 0, response)
        kept.fail(asking, 1, status=401, reason=f"refused: {wrapped}")
        written = everything_written(folder)
        message = str(kept.explain(asking))
        kept.finish()
        written += everything_written(folder)
        findings = check(kept.root, rootdir=folder, keys=[member.key])
        found = recordings(folder).find(unit("why", 3, of=member, asking=asking.request))
    assert key not in written
    assert key not in message
    assert {one.kind for one in findings} <= {"orphan"}
    assert [one is not None for one in found] == [True, True, False]
