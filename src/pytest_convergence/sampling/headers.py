"""What a provider's headers say of its limits: how long to wait, and what is left."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PREFIXES = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "requests"),
    ("x-ratelimit-remaining", "x-ratelimit-reset", "requests"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", "requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "tokens"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", "tokens"),
    (
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
        "tokens",
    ),
)
_EPOCH = 1e9
_LONG_PAST = 86400.0  # no server names such a moment: it means seconds


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a provider's limit, and the seconds until there is more."""

    kind: Literal["requests", "tokens"]
    remaining: float
    reset: float


def pause_asked(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks to wait, in any of its spellings; 0 where it is silent."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    asked = headers.get("retry-after", "")
    seconds = _until(asked, headers) or 0.0
    if seconds < -_LONG_PAST:
        seconds = _number(asked) or 0.0
    return max(0.0, seconds)


def quotas(headers: Mapping[str, str]) -> Iterator[Quota]:
    """What is left of each limit that the headers speak of (OpenAI, OpenRouter, Anthropic)."""
    for remaining_name, reset_name, kind in _PREFIXES:
        if remaining_name in headers:
            remaining = _number(headers[remaining_name])
            reset = _until(headers.get(reset_name, ""), headers)
            if remaining is not None and reset is not None:
                yield Quota("tokens" if kind == "tokens" else "requests", remaining, max(reset, 0))


def _until(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from now: a number, ``6m0s``, a date, or a moment in (milli)seconds of the epoch."""
    number = _number(value)
    if number is not None:
        if number < _EPOCH:
            return number
        moment = number / 1000 if number > _EPOCH * 100 else number
        return moment - _server_now(headers)
    if _WHOLE.fullmatch(value):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
    moment_read = _date(value)
    return None if moment_read is None else moment_read - _server_now(headers)


def _server_now(headers: Mapping[str, str]) -> float:
    # By the server's own clock where it says so, since ours may be wrong.
    return _date(headers.get("date", "")) or time.time()


def _date(value: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None
