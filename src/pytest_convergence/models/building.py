"""Request bodies put together; what a format cannot say is an error, never dropped."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pytest_convergence.errors import SettingsError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt, as_messages
from pytest_convergence.models.secrets import refuse_secrets
from pytest_convergence.models.wire import WireRequest, canonical_json


def post(url: str, body: Mapping[str, Any], *, model: str) -> WireRequest:
    """The request that posts this body as canonical JSON.

    Raises
    ------
    SettingsError
        Where a text in it holds a lone surrogate: half a character, which has no encoding, and
        which servers answer with an error 500 (and that would be retried).
    """
    text = canonical_json(body)
    if "\\ud" in text:  # as surrogates are written; the next line is for them alone
        _refuse_halves(body, model)
    return WireRequest("POST", url, text)


def _refuse_halves(body: Mapping[str, Any], model: str) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as problem:
        half = f"\\u{ord(problem.object[problem.start]):04x}"
        raise SettingsError(
            f"a text for {model} holds half a character: {half}",
            details=["a surrogate without its other half cannot be sent as UTF-8"],
            fix=["clean the prompt: text.encode('utf-8', 'replace').decode()"],
        ) from None


def without_system(prompt: Prompt, decoding: Decoding, *, model: str) -> tuple[str | None, Any]:
    """The system text, and the other messages: for formats that keep the two apart.

    Raises
    ------
    SettingsError
        Where a system message follows another one, which these formats have no place for.
    """
    messages = as_messages(prompt)
    leading = 0
    while leading < len(messages) and messages[leading]["role"] == "system":
        leading += 1
    rest = messages[leading:]
    if any(message["role"] == "system" for message in rest):
        raise SettingsError(
            f"{model} takes system messages only before all others",
            details=["this prompt has one after a user or assistant message"],
            fix=["move it to the front, or make it a user message"],
        )
    if not rest:
        raise SettingsError(
            f"a prompt for {model} has system messages only", fix=["add a user message"]
        )
    parts = [decoding.system] if decoding.system is not None else []
    parts += [message["content"] for message in messages[:leading]]
    return ("\n\n".join(parts) if parts else None), rest


def refuse_inexpressible(names: Collection[str], *, model: str, form: str) -> None:
    """Raise SettingsError where decoding parameters are set that the format has no word for."""
    if names:
        listed = ", ".join(sorted(names))
        raise SettingsError(
            f"{model} cannot be asked with {listed}",
            details=[f"{form} has no such parameter, and dropping it would change the question"],
            fix=[f"do not set {listed} for this model; decoding can be set model by model"],
        )


def with_extra(
    body: dict[str, Any], decoding: Decoding, *, model: str, counts: Collection[str] = ("n",)
) -> dict[str, Any]:
    """The body with ``decoding.extra`` put in; objects on both sides are joined.

    Parameters
    ----------
    counts
        The names that ask for several answers at once. Samples are separate requests, since
        servers ignore or fake these.

    Raises
    ------
    SettingsError
        Where an extra parameter is there already, streams, asks for several answers, is named
        like a key, or is not JSON.
    """
    if not decoding.extra:
        return body
    extra = dict(decoding.extra)
    refuse_secrets(extra, where=f"the extra parameters of {model}")
    joined = _joined(body, extra, path="", model=model, counts=counts)
    try:
        canonical_json(joined)
    except (TypeError, ValueError, RecursionError) as problem:
        raise SettingsError(
            f"the extra parameters of {model} are not JSON", details=[str(problem)]
        ) from None
    return joined


def _joined(
    body: dict[str, Any], extra: Any, *, path: str, model: str, counts: Collection[str]
) -> dict[str, Any]:
    result = dict(body)
    for name, value in extra.items():
        if name in counts and value not in (None, 1):
            _refuse(f"{path}{name}", model, "every sample is a request of its own: set samples")
        if name == "stream" and value:
            _refuse(f"{path}{name}", model, "answers are read whole: leave it out")
        present = result.get(name)
        if isinstance(present, dict) and isinstance(value, Mapping):
            inner = f"{path}{name}."
            result[name] = _joined(present, value, path=inner, model=model, counts=counts)
        elif name in result:
            _refuse(f"{path}{name}", model, "it is set already: give it once")
        else:
            result[name] = value
    return result


def _refuse(name: str, model: str, fix: str) -> None:
    raise SettingsError(f"the extra parameter {name} of {model} cannot be sent", fix=[fix])
