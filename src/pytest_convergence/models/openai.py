"""The chat-completions format of OpenAI, and of the many servers that speak it too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_convergence.models.building import post, with_extra
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt, as_messages
from pytest_convergence.models.plain_chat import COST_HEADER, plain_answer
from pytest_convergence.models.reading import (
    Origin,
    amount_or_none,
    answered,
    complete,
    count_or_none,
    date_of,
    error_detail,
    failed,
    mapping,
    name_or_none,
    objects,
    read_body,
    text_or_none,
    token_logprob,
)
from pytest_convergence.models.response import Finish, Response, TokenLogprob, Usage
from pytest_convergence.models.wire import WireRequest, WireResponse

_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
_FAILURES = {"error", "abort", "insufficient_system_resource"}
_THOUGHT = re.compile(r"\s*<think>(?P<thought>.*?)(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OpenAIAdapter:
    """OpenAI chat completions: ``POST {base_url}/chat/completions``.

    Parameters
    ----------
    provider
        The provider's name, kept with the response unless the answer names one (OpenRouter).
    max_tokens_name
        What ``max_tokens`` is called on the wire. OpenAI's own models take
        ``max_completion_tokens`` (its reasoning models reject the older name); the servers that
        speak the format take ``max_tokens``. Where a server differs, leave ``max_tokens`` unset
        and give the other name in ``extra``.

    Notes
    -----
    A block ``<think>…</think>`` at the start of the text, as some servers send a model's
    reasoning, is not part of the answer and is left out.
    """

    provider: str = "openai"
    max_tokens_name: str = "max_tokens"

    verbatim: ClassVar[bool] = True

    def inexpressible(self, decoding: Decoding) -> tuple[str, ...]:
        """Every decoding parameter has a name in this format."""
        del decoding
        return ()

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        """The request for one sample; ``n`` is never sent."""
        messages: list[dict[str, str]] = []
        if decoding.system is not None:
            messages.append({"role": "system", "content": decoding.system})
        messages += as_messages(prompt)
        body: dict[str, Any] = {"model": model, "messages": messages}
        named = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            self.max_tokens_name: decoding.max_tokens,
            "seed": decoding.seed,
            "stop": None if decoding.stop is None else list(decoding.stop),
            "logprobs": None if decoding.top_logprobs is None else True,
            "top_logprobs": decoding.top_logprobs,
        }
        body |= {name: value for name, value in named.items() if value is not None}
        name = f"{self.provider}/{model}"
        body = with_extra(body, decoding, model=name, counts=("n", "best_of"))
        return post(f"{base_url}/chat/completions", body, model=name)

    def headers(self, key: str | None) -> dict[str, str]:
        """A bearer key, where there is one."""
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def parse(self, response: WireResponse) -> Response:
        """The first choice read, or why it cannot be used."""
        plain = plain_answer(response, self.provider)
        return read_with_care(response, self.provider) if plain is None else plain


def read_with_care(response: WireResponse, provider: str) -> Response:
    """What :meth:`OpenAIAdapter.parse` makes of any answer at all, the plain ones included."""
    body = read_body(response)
    if isinstance(body, Response):
        return body
    origin = Origin(
        served_model=name_or_none(body.get("model")),
        system_fingerprint=name_or_none(body.get("system_fingerprint")),
        provider=name_or_none(body.get("provider")) or provider,
        date=date_of(response, body),
    )
    choices = objects(body.get("choices"))
    if not choices:
        said = str(error_detail(body))
        return failed("no choices in the answer" + (f": {said}" if said else ""), origin=origin)
    return _choice(choices[0], _usage(body, response), origin)


def _choice(choice: dict[str, Any], usage: Usage, origin: Origin) -> Response:
    message = mapping(choice.get("message"))
    word = text_or_none(choice.get("finish_reason")) or ""
    text = _visible(_content(message.get("content")))
    refusal = text_or_none(message.get("refusal")) or _refusal_part(message.get("content"))
    logprobs = choice.get("logprobs")
    if choice.get("error") or word.lower() in _FAILURES:
        detail = str(error_detail({"error": choice.get("error")})) or f"finish reason {word}"
        return failed(f"the provider broke off: {detail}", origin=origin, text=text)
    finish = _FINISHES.get(word.lower(), "unknown")
    if refusal and not text:
        finish, text = "refusal", refusal
    return answered(
        text,
        finish,
        usage=usage,
        logprobs=_logprobs(logprobs) if logprobs else (),
        origin=origin,
        why="the model declined" if finish == "refusal" else word,
        tools=() if text else _tools(message),
    )


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part for part in objects(content) if part.get("type") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _refusal_part(content: Any) -> str | None:
    if isinstance(content, str):
        return None
    said = [text_or_none(part.get("refusal")) for part in objects(content)]
    return "".join(part for part in said if part) or None


def _visible(text: str) -> str:
    thought = _THOUGHT.match(text)
    return text if thought is None else text[thought.end() :].lstrip()


def _tools(message: dict[str, Any]) -> list[str]:
    calls = [mapping(call.get("function")) for call in objects(message.get("tool_calls"))]
    if isinstance(message.get("function_call"), dict):
        calls.append(message["function_call"])
    return [text_or_none(call.get("name")) or "a tool" for call in calls]


def _usage(body: dict[str, Any], response: WireResponse) -> Usage:
    usage = mapping(body.get("usage"))
    details = mapping(usage.get("completion_tokens_details"))
    cost = usage.get("cost", response.headers.get(COST_HEADER))
    return Usage(
        input_tokens=count_or_none(usage.get("prompt_tokens")),
        output_tokens=count_or_none(usage.get("completion_tokens")),
        reasoning_tokens=count_or_none(
            details.get("reasoning_tokens", usage.get("reasoning_tokens"))
        ),
        cost=amount_or_none(cost),
    )


def _logprobs(value: Any) -> tuple[TokenLogprob, ...]:
    content = objects(mapping(value).get("content"))
    return complete(
        [
            token_logprob(
                item.get("token"),
                item.get("logprob"),
                [
                    (other.get("token"), other.get("logprob"))
                    for other in objects(item.get("top_logprobs"))
                ],
            )
            for item in content
        ]
    )
