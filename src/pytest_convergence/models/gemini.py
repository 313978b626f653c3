"""Gemini's generateContent format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote

from pytest_convergence.models.building import post, with_extra, without_system
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.reading import (
    Origin,
    answered,
    complete,
    count_or_none,
    date_of,
    failed,
    mapping,
    name_or_none,
    objects,
    read_body,
    sum_of_counts,
    text_or_none,
    token_logprob,
)
from pytest_convergence.models.response import Finish, Response, TokenLogprob, Usage
from pytest_convergence.models.wire import WireRequest, WireResponse

_FILTERED = (
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
)
_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(_FILTERED, "content_filter"),
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "MALFORMED_FUNCTION_CALL": "tool",
    "UNEXPECTED_TOOL_CALL": "tool",
    "TOO_MANY_TOOL_CALLS": "tool",
}
# Not the model's last word, even where some text came.
_FAILURES = {"MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "PUP_LIMITED_DISABLED"}


@dataclass(frozen=True, slots=True)
class GeminiAdapter:
    """Gemini: ``POST {base_url}/models/{model}:generateContent``. It can express everything."""

    provider: str = "gemini"

    verbatim: ClassVar[bool] = True

    def inexpressible(self, decoding: Decoding) -> tuple[str, ...]:
        """Every decoding parameter has a name in this format."""
        del decoding
        return ()

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        """The request for one sample; ``candidateCount`` is never sent."""
        name = f"{self.provider}/{model}"
        system, messages = without_system(prompt, decoding, model=name)
        body: dict[str, Any] = {
            "contents": [
                {
                    "role": "model" if message["role"] == "assistant" else "user",
                    "parts": [{"text": message["content"]}],
                }
                for message in messages
            ]
        }
        if system is not None:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if config := _config(decoding):
            body["generationConfig"] = config
        body = with_extra(
            body, decoding, model=name, counts=("n", "candidateCount", "candidate_count")
        )
        path = model if "/" in model else f"models/{model}"
        return post(f"{base_url}/{quote(path, safe='/-._~:@')}:generateContent", body, model=name)

    def headers(self, key: str | None) -> dict[str, str]:
        """The key where there is one, in a header and never in the address."""
        return {} if key is None else {"x-goog-api-key": key}

    def parse(self, response: WireResponse) -> Response:
        """The first candidate read, or why there is none."""
        body = read_body(response)
        if isinstance(body, Response):
            return body
        origin = Origin(
            served_model=name_or_none(body.get("modelVersion")),
            provider=self.provider,
            date=_created(body.get("createTime")) or date_of(response),
        )
        usage = _usage(mapping(body.get("usageMetadata")))
        candidates = objects(body.get("candidates"))
        if candidates:
            return _candidate(candidates[0], usage, origin)
        feedback = mapping(body.get("promptFeedback"))
        blocked = text_or_none(feedback.get("blockReason"))
        if blocked is None:
            return failed("no candidates in the answer", origin=origin)
        told = text_or_none(feedback.get("blockReasonMessage"))
        why = f"prompt blocked: {blocked}" + (f": {told}" if told else "")
        return answered("", "content_filter", usage=usage, origin=origin, why=why)


def _config(decoding: Decoding) -> dict[str, Any]:
    named = {
        "temperature": decoding.temperature,
        "topP": decoding.top_p,
        "maxOutputTokens": decoding.max_tokens,
        "seed": decoding.seed,
        "stopSequences": None if decoding.stop is None else list(decoding.stop),
        "responseLogprobs": None if decoding.top_logprobs is None else True,
        "logprobs": decoding.top_logprobs,
    }
    return {name: value for name, value in named.items() if value is not None}


def _candidate(candidate: dict[str, Any], usage: Usage, origin: Origin) -> Response:
    parts = objects(mapping(candidate.get("content")).get("parts"))
    text = "".join(
        part["text"]
        for part in parts
        if isinstance(part.get("text"), str) and part.get("thought") is not True
    )
    word = text_or_none(candidate.get("finishReason")) or ""
    told = text_or_none(candidate.get("finishMessage"))
    why = f"{word}: {told}" if told else word
    calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
    if word in _FAILURES or (word == "OTHER" and not text.strip()):
        return failed(f"the provider broke off: {why}", origin=origin, text=text)
    finish = _FINISHES.get(word, "unknown")
    return answered(
        text,
        "tool" if calls and finish == "stop" else finish,
        usage=usage,
        logprobs=_logprobs(mapping(candidate.get("logprobsResult"))),
        origin=origin,
        why=why,
        tools=[text_or_none(call.get("name")) or "a tool" for call in calls],
    )


def _usage(usage: dict[str, Any]) -> Usage:
    thoughts = usage.get("thoughtsTokenCount")
    return Usage(
        input_tokens=sum_of_counts(
            usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")
        ),
        # Thoughts are billed as output, and counted apart here only.
        output_tokens=sum_of_counts(usage.get("candidatesTokenCount"), thoughts),
        reasoning_tokens=count_or_none(thoughts),
    )


def _logprobs(result: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    chosen = objects(result.get("chosenCandidates"))
    offered = [objects(step.get("candidates")) for step in objects(result.get("topCandidates"))]
    if len(offered) != len(chosen):
        offered = [[] for _ in chosen]
    return complete(
        [
            token_logprob(
                item.get("token"),
                item.get("logProbability"),
                [(other.get("token"), other.get("logProbability")) for other in others],
            )
            for item, others in zip(chosen, offered, strict=True)
        ]
    )


def _created(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return value if moment.tzinfo is not None else None
