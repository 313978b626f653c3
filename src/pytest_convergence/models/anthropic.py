"""Anthropic's Messages format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec.structs import replace

from pytest_convergence.models.building import (
    post,
    refuse_inexpressible,
    with_extra,
    without_system,
)
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.reading import (
    Origin,
    answered,
    count_or_none,
    date_of,
    failed,
    mapping,
    name_or_none,
    objects,
    read_body,
    sum_of_counts,
    text_or_none,
)
from pytest_convergence.models.response import Finish, Response, Usage
from pytest_convergence.models.wire import WireRequest, WireResponse

DEFAULT_MAX_TOKENS = 4096
"""Sent where ``max_tokens`` is not set, since the format requires one: the most that every
Claude model accepts. An answer it cuts off is missing, with that reason."""

_VERSION = "2023-06-01"
_FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    # The turn was put aside by the server and would have to be taken up again.
    "pause_turn": "length",
    "refusal": "refusal",
    "tool_use": "tool",
}


@dataclass(frozen=True, slots=True)
class AnthropicAdapter:
    """Anthropic Messages: ``POST {base_url}/messages``.

    It has no seed and offers no log-probabilities.
    """

    provider: str = "anthropic"

    verbatim: ClassVar[bool] = True

    def inexpressible(self, decoding: Decoding) -> tuple[str, ...]:
        """The parameters set in ``decoding`` that this format has no word for."""
        return tuple(
            name for name in ("seed", "top_logprobs") if getattr(decoding, name) is not None
        )

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        """The request for one sample; raises SettingsError for a seed or log-probabilities."""
        name = f"{self.provider}/{model}"
        refuse_inexpressible(
            self.inexpressible(decoding), model=name, form="Anthropic's Messages format"
        )
        system, messages = without_system(prompt, decoding, model=name)
        body: dict[str, Any] = {"model": model, "messages": list(messages)}
        if "max_tokens" not in dict(decoding.extra):
            body["max_tokens"] = decoding.max_tokens or DEFAULT_MAX_TOKENS
        named = {
            "system": system,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stop_sequences": None if decoding.stop is None else list(decoding.stop),
        }
        body |= {word: value for word, value in named.items() if value is not None}
        body = with_extra(body, decoding, model=name)
        return post(f"{base_url}/messages", body, model=name)

    def headers(self, key: str | None) -> dict[str, str]:
        """The format's version, and the key where there is one."""
        headers = {"anthropic-version": _VERSION}
        return headers if key is None else headers | {"x-api-key": key}

    def parse(self, response: WireResponse) -> Response:
        """The text blocks of the message joined, or why there are none."""
        body = read_body(response)
        if isinstance(body, Response):
            return body
        origin = Origin(
            served_model=name_or_none(body.get("model")),
            provider=self.provider,
            date=date_of(response),
        )
        if not isinstance(body.get("content"), list):
            return failed("no content in the answer", origin=origin)
        blocks = objects(body["content"])
        word = text_or_none(body.get("stop_reason")) or ""
        parsed = answered(
            _text(blocks),
            _FINISHES.get(word, "unknown"),
            usage=_usage(mapping(body.get("usage"))),
            origin=origin,
            why=_why(word, mapping(body.get("stop_details"))),
            tools=[
                text_or_none(block.get("name")) or "a tool"
                for block in blocks
                if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use")
            ],
        )
        return _naming_default(parsed) if word == "max_tokens" else parsed


def _text(blocks: list[dict[str, Any]]) -> str:
    return "".join(
        block["text"]
        for block in blocks
        if block.get("type") == "text" and isinstance(block.get("text"), str)
    )


def _why(word: str, details: dict[str, Any]) -> str:
    told = [text_or_none(details.get(name)) for name in ("category", "explanation")]
    return ": ".join(part for part in (word, *told) if part)


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=sum_of_counts(
            usage.get("input_tokens"),
            usage.get("cache_creation_input_tokens"),
            usage.get("cache_read_input_tokens"),
        ),
        output_tokens=count_or_none(usage.get("output_tokens")),
        reasoning_tokens=count_or_none(
            mapping(usage.get("output_tokens_details")).get("thinking_tokens")
        ),
    )


def _naming_default(response: Response) -> Response:
    if response.missing is None or response.usage.output_tokens != DEFAULT_MAX_TOKENS:
        return response
    told = f"{response.missing.reason}; {DEFAULT_MAX_TOKENS} is the default: set max_tokens"
    return replace(response, missing=replace(response.missing, reason=told))
