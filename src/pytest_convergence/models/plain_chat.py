"""The chat completion that nearly every answer is, read in a tenth of the time.

A study replays answers by the ten thousand. Typed here is the plain one: a text that ended by
itself, with nothing beside it that would change how it is read. Whatever else a server may send
fits no such type, and is read with care by :mod:`pytest_convergence.models.openai`.
"""

from __future__ import annotations

from sys import intern
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import Decoder

from pytest_convergence.models.reading import amount_or_none, utc
from pytest_convergence.models.response import Response, Usage
from pytest_convergence.models.wire import WireResponse

COST_HEADER = "x-litellm-response-cost"

_Count = Annotated[int, Meta(ge=0)]


class _Message(Struct, gc=False):
    content: Annotated[str, Meta(min_length=1)]
    refusal: None = None


class _Choice(Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop"]
    logprobs: None = None
    error: None = None


class _Details(Struct, gc=False):
    reasoning_tokens: _Count | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    completion_tokens_details: _Details | None = None
    reasoning_tokens: None = None
    cost: float | UnsetType | None = UNSET


class _Completion(Struct, gc=False):
    created: Annotated[int, Meta(gt=0)]
    choices: list[_Choice]
    model: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    usage: _Usage | None = None
    error: None = None


_DECODER = Decoder(_Completion)
_NO_USAGE = _Usage()


def plain_answer(response: WireResponse, provider: str) -> Response | None:
    """The answer of a plain completion, or None where it is none and has to be looked into."""
    if not 200 <= response.status < 300:
        return None
    try:
        completion = _DECODER.decode(response.body)
        date = utc(completion.created)
    except (ValueError, OverflowError, OSError, RecursionError):
        return None
    if not completion.choices:
        return None
    text = completion.choices[0].message.content
    if text.isspace() or "<think>" in text:
        return None
    return Response(
        text=text,
        usage=_usage(completion.usage or _NO_USAGE, response),
        served_model=_name(completion.model),
        system_fingerprint=_name(completion.system_fingerprint),
        provider=_name(completion.provider) or provider,
        date=date,
    )


def _usage(usage: _Usage, response: WireResponse) -> Usage:
    cost = response.headers.get(COST_HEADER) if usage.cost is UNSET else usage.cost
    details = usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        None if details is None else details.reasoning_tokens,
        None if cost is None else amount_or_none(cost),
    )


def _name(name: str | None) -> str | None:
    return intern(name) if name else None
