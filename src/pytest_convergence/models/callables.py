"""Any function as a model: an agent, an SDK, a pipeline, whatever no adapter speaks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, get_args
from urllib.parse import quote

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.building import post, refuse_inexpressible
from pytest_convergence.models.calling import Call
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt, as_messages
from pytest_convergence.models.reading import (
    Origin,
    amount_or_none,
    answered,
    complete,
    count_or_none,
    date_of,
    failed,
    mapping,
    objects,
    read_body,
    text_or_none,
    token_logprob,
)
from pytest_convergence.models.response import Finish, Response, Usage
from pytest_convergence.models.wire import Model, WireRequest, WireResponse

if TYPE_CHECKING:
    import httpx

Answer: TypeAlias = str | Response | Mapping[str, Any]
"""What a function may return. A mapping has ``text`` and any other field of ``Response``."""

ModelFunction: TypeAlias = Callable[..., Answer | Awaitable[Answer]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def callable_model(name: str, function: ModelFunction, *, version: str) -> Model:
    """A model that a function answers for; recorded and replayed like the others.

    Parameters
    ----------
    name
        Its name in panels, recordings and results: letters, digits and ``. _ - /``.
    function
        Sync or async. Called as ``function(messages, decoding=…, sample=…)`` where it accepts
        those names (any of them), with ``messages`` a list of ``{"role", "content"}``; a
        function of one argument that is not called ``messages`` gets the prompt: its text, or
        the messages where they are several. Sync functions run in a thread of their own.
    version
        Part of the recorded address, since a function has no wire request that would tell
        when it changed: a new version is a new question.

    Raises
    ------
    SettingsError
        For a name or a version that cannot be part of an address, or no function.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"a callable model cannot be named {name!r}",
            fix=["use letters, digits and . _ - with / between parts: team/debate"],
        )
    if not version.strip():
        raise SettingsError(
            f"the callable model {name} has no version",
            details=["its answers are recorded under name and version"],
            fix=['pass version="1", and another one when what it does changes'],
        )
    if not callable(function):
        raise SettingsError(f"the callable model {name} is not callable", fix=["pass a function"])
    call = Call.of(function)
    return Model(
        name=name,
        provider="callable",
        model=name,
        base_url=f"callable://{name.lower()}/{quote(version.strip(), safe='.-_~')}",
        adapter=CallableAdapter(takes_decoding=call.takes_decoding),
        transport=partial(_transport, call),
    )


def _transport(call: Call) -> httpx.AsyncBaseTransport:
    from pytest_convergence.models.callable_transport import CallableTransport

    return CallableTransport(call)


@dataclass(frozen=True, slots=True)
class CallableAdapter:
    """The small format between us and a function: JSON with messages in, JSON with a text out."""

    takes_decoding: bool = True

    verbatim: ClassVar[bool] = True

    def inexpressible(self, decoding: Decoding) -> tuple[str, ...]:
        """What is set, where the function takes no ``decoding``."""
        return () if self.takes_decoding else tuple(decoding.as_dict())

    def request(
        self, *, model: str, base_url: str, prompt: Prompt, decoding: Decoding
    ) -> WireRequest:
        """The request for one sample; SettingsError where the function takes no decoding."""
        refuse_inexpressible(
            self.inexpressible(decoding),
            model=model,
            form="its function takes no argument named decoding, so the format",
        )
        body: dict[str, Any] = {"model": model, "messages": list(as_messages(prompt))}
        if values := decoding.as_dict():
            body["decoding"] = values
        return post(base_url, body, model=model)

    def headers(self, key: str | None) -> dict[str, str]:
        """None: what a function needs it has itself."""
        del key
        return {}

    def parse(self, response: WireResponse) -> Response:
        """What the function returned, or the exception it raised as the reason for none."""
        body = read_body(response)
        if isinstance(body, Response):
            return body
        origin = Origin(
            served_model=text_or_none(body.get("served_model")),
            system_fingerprint=text_or_none(body.get("system_fingerprint")),
            provider=text_or_none(body.get("provider")) or "callable",
            date=text_or_none(body.get("date")) or date_of(response),
        )
        text = body.get("text")
        if not isinstance(text, str):
            return failed("the recorded answer of a callable has no text", origin=origin)
        missing = mapping(body.get("missing"))
        word = body.get("finish", "stop")
        finish: Finish = word if word in get_args(Finish) else "unknown"
        if missing.get("kind") == "error":
            return failed(str(missing.get("reason", "error")), origin=origin, text=text)
        if missing.get("kind") == "truncated":
            finish = "length"
        if missing.get("kind") == "refused" and finish != "content_filter":
            finish = "refusal"
        return answered(
            text,
            finish,
            usage=_usage(mapping(body.get("usage"))),
            logprobs=complete(
                [
                    token_logprob(item.get("token"), item.get("logprob"), _pairs(item.get("top")))
                    for item in objects(body.get("logprobs"))
                ]
            ),
            origin=origin,
            why=str(missing.get("reason", "")),
        )


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=count_or_none(usage.get("input_tokens")),
        output_tokens=count_or_none(usage.get("output_tokens")),
        reasoning_tokens=count_or_none(usage.get("reasoning_tokens")),
        cost=amount_or_none(usage.get("cost")),
    )


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    pairs = value if isinstance(value, list) else []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
