"""Keys kept out of what is shown and written: messages, request bodies, headers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pytest_convergence.errors import SettingsError

_SHORTEST_KEY = 8
_REDACTED = "[redacted]"

# Look-aheads are bounded, so that no text takes more than linear time.
_KEY_SHAPES = re.compile(
    # The prefixes that providers give their keys, then a body with at least one digit or star.
    r"\b(?:sk|rk|gsk|xai|hf|fw|nvapi|csk|pplx|tgp|key|org|proj|user)[-_](?=[\w*.-]{0,99}[\d*])[\w*.-]{6,}"
    r"|\bAIza[\w-]{10,}|\bya29\.[\w.-]+|\bAQ\.[\w-]{20,}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[^\s\"',;}]{6,}", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:api[-_]?key|x-goog-api-key|authorization|access[-_]?token|client[-_]?secret|password)"
    # After a colon there may be prose ("invalid_api_key: Incorrect …"): a key has a digit.
    r"[\"']?\s*(?:=|:(?=\s*[\"']?[^\s\"',&;}]{0,99}\d))\s*[\"']?)(?!bearer|basic)[^\s\"',&;}]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"^(?:x-)?(?:.*api[-_]?key|authorization|.*access[-_]?token|.*secret(?:[-_].*)?|password|key|token"
    r"|auth[-_]token|bearer.*|credentials?|cookie|(?:openai-)?organi[sz]ation|vertex_credentials)$",
    re.IGNORECASE,
)
_KEPT_HEADERS = re.compile(
    r"date|content-type|retry-after(?:-ms)?|(?:x-|anthropic-)ratelimit-[a-z-]+|x-should-retry"
    r"|request-id|x-request-id|x-litellm-response-cost"
)


def redact(text: str, *secrets: str | None) -> str:
    """The text without the given secrets and without anything that has the shape of a key.

    Providers quote keys and organisation ids in their error messages. Meant for messages, not
    for what a model answered: a shape may match a word that is no key.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, _REDACTED)
    text = _BEARER.sub(rf"\1{_REDACTED}", text)
    text = _NAMED.sub(rf"\1{_REDACTED}", text)
    return _KEY_SHAPES.sub(_REDACTED, text)


def without_keys(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text without the values of the environment's ``…_API_KEY`` variables.

    Unlike :func:`redact` it alters nothing that merely has the shape of a key, so it can be applied
    to what models answered.
    """
    for key in known_keys(environ):
        text = text.replace(key, _REDACTED)
    return text


def known_keys(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The values of ``…_API_KEY`` variables that are long enough to be keys."""
    found = (value for name, value in environ.items() if name.endswith("_API_KEY"))
    return [value for value in found if len(value) >= _SHORTEST_KEY]


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The response headers that may be kept, by allow-list, in lower case and sorted.

    They say when it was, how long to wait, and which call to ask the provider about. Cookies,
    organisations, projects and whatever a provider invents next are left out.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in sorted(lower) if _KEPT_HEADERS.fullmatch(name)}


def refuse_secrets(value: Any, *, where: str) -> None:
    """Check that no parameter in a request's body is named like a key.

    Bodies are recorded. LiteLLM and other routers accept ``api_key`` and ``extra_headers`` in
    them; here a key has one place, the environment.

    Raises
    ------
    SettingsError
        Naming the parameter, never its value.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(name, str) and _SECRET_NAME.match(name):
                raise SettingsError(
                    f"{name!r} in {where} would be written into recordings",
                    details=["what is sent in a request's body is kept in a file"],
                    fix=["put keys into the provider's environment variable instead"],
                )
            refuse_secrets(inner, where=where)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_secrets(inner, where=where)
