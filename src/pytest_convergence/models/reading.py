"""Answers read without trust: whatever a server sends becomes a response or a named reason."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from msgspec import Struct

from pytest_convergence.models.response import Finish, Missing, Response, TokenLogprob, Usage
from pytest_convergence.models.secrets import redact
from pytest_convergence.models.wire import WireResponse
from pytest_convergence.parsing import parse_json

_REASON_LIMIT = 500
_FILTER_CODES = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "data_inspection_failed",
    "datainspectionfailed",
}


class Origin(NamedTuple):
    """Who answered, and when: kept with every response, failed ones included."""

    served_model: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    date: str | None = None


class ErrorDetail(Struct, frozen=True):
    """What a provider says went wrong; every part may be missing."""

    message: str = ""
    code: str = ""
    parameter: str = ""
    filtered: bool = False

    def __str__(self) -> str:
        code = "" if self.code in self.message else self.code
        return ": ".join(part for part in (code, self.message) if part)


def text_or_none(value: Any) -> str | None:
    """The value if it is a text that is not empty."""
    return value if isinstance(value, str) and value else None


def name_or_none(value: Any) -> str | None:
    """The same of what thousands of answers say alike, such as a model's name: kept once."""
    text = text_or_none(value)
    return None if text is None else intern(text)


def count_or_none(value: Any) -> int | None:
    """The value if it is a whole number from 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if value >= 0 else None


def amount_or_none(value: Any) -> float | None:
    """The value if it is a finite number from 0; a number written as text counts."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None


def sum_of_counts(*values: Any) -> int | None:
    """The sum of those that are counts; None where none is."""
    counts = [count for count in map(count_or_none, values) if count is not None]
    return sum(counts) if counts else None


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The JSON objects in a list; nothing where the value is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def token_logprob(token: Any, logprob: Any, top: Sequence[tuple[Any, Any]]) -> TokenLogprob | None:
    """One token read; None where its text or its number cannot be used."""
    if not isinstance(token, str) or not _finite(logprob):
        return None
    offered = tuple(
        (name, float(value)) for name, value in top if isinstance(name, str) and _finite(value)
    )
    return TokenLogprob(token=token, logprob=float(logprob), top=offered)


def complete(tokens: Sequence[TokenLogprob | None]) -> tuple[TokenLogprob, ...]:
    """All tokens, or none: log-probabilities with holes would be those of another text."""
    read = tuple(token for token in tokens if token is not None)
    return read if len(read) == len(tokens) else ()


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def date_of(response: WireResponse, body: dict[str, Any] | None = None) -> str | None:
    """When the answer was made, in ISO 8601 and UTC: the body's ``created``, else the header."""
    created = (body or {}).get("created")
    try:
        if isinstance(created, int | float) and not isinstance(created, bool) and created > 0:
            return utc(int(created))
        return utc(int(parsedate_to_datetime(response.headers["date"]).timestamp()))
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return None


def utc(seconds: int) -> str:
    """A time in ISO 8601; ValueError, OverflowError or OSError where there is no such time."""
    # Asked for every answer, and many arrive on one day.
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


@lru_cache(maxsize=64)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, tz=UTC).date().isoformat()


def read_body(response: WireResponse) -> dict[str, Any] | Response:
    """The JSON object of a good answer, or the response that says why there is none."""
    try:
        body = parse_json(response.body)
    except (ValueError, RecursionError) as problem:
        return failed(_unreadable(response, problem), origin=Origin(date=date_of(response)))
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    good = 200 <= response.status < 300
    if not good or mapping(body).get("error"):
        origin = Origin(date=date_of(response))
        return _refused_or_failed(response.status, error_detail(body), origin)
    if not isinstance(body, dict):
        kind = type(body).__name__
        origin = Origin(date=date_of(response))
        return failed(f"the answer is JSON but not an object: {kind}", origin=origin)
    return body


def failed(reason: str, *, origin: Origin | None = None, text: str = "") -> Response:
    """A response that is missing through an error."""
    missing = Missing("error", _shortened(redact(reason)))
    return _response(text, "unknown", missing, Usage(), (), origin)


def answered(
    text: str,
    finish: Finish,
    *,
    usage: Usage,
    logprobs: tuple[TokenLogprob, ...] = (),
    origin: Origin,
    why: str = "",
    tools: Sequence[str] = (),
) -> Response:
    """A response that arrived: usable, or missing because it is refused, cut off or empty.

    ``why`` is the provider's own word for the finish; ``tools`` are what was called.
    """
    missing = None
    if finish in ("refusal", "content_filter"):
        missing = Missing("refused", _shortened(redact(why or finish)))
    elif finish == "length":
        missing = Missing("truncated", _truncation(usage, why))
    elif not text.strip():
        missing = Missing("empty", _shortened(redact(_emptiness(usage, tools, why))))
    return _response(text, finish, missing, usage, logprobs, origin)


def _response(
    text: str,
    finish: Finish,
    missing: Missing | None,
    usage: Usage,
    logprobs: tuple[TokenLogprob, ...],
    origin: Origin | None,
) -> Response:
    origin = origin or Origin()
    return Response(
        text=text,
        finish=finish,
        missing=missing,
        usage=usage,
        logprobs=logprobs,
        served_model=origin.served_model,
        system_fingerprint=origin.system_fingerprint,
        provider=origin.provider,
        date=origin.date,
    )


def _truncation(usage: Usage, why: str) -> str:
    tokens = f" after {usage.output_tokens} tokens" if usage.output_tokens is not None else ""
    reason = f"cut off{tokens} ({why or 'length'})"
    if usage.reasoning_tokens:
        reason += f", {usage.reasoning_tokens} of them reasoning"
    return reason


def _emptiness(usage: Usage, tools: Sequence[str], why: str) -> str:
    if tools:
        return f"no text: it called {', '.join(tools)} instead of answering"
    if usage.reasoning_tokens:
        return f"no text: {usage.reasoning_tokens} tokens of reasoning and no answer"
    return f"no text ({why})" if why else "no text"


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _REASON_LIMIT else reason[: _REASON_LIMIT - 1] + "…"


def _unreadable(response: WireResponse, problem: Exception) -> str:
    start = response.body[:2000].lstrip("\ufeff \t\r\n")
    status = f"HTTP {response.status}"
    if not start:
        return f"{status} with an empty body"
    if start[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]{1,200})", start, re.IGNORECASE)
        named = f": {' '.join(title.group(1).split())}" if title else ""
        return f"{status} with a web page instead of an answer{named}"
    if start.startswith(("data:", "event:")):
        return f"{status} with an event stream, which was not asked for"
    if 200 <= response.status < 300:
        where = f" at character {problem.pos}" if isinstance(problem, json.JSONDecodeError) else ""
        return f"the answer is not JSON{where} of {len(response.body)}: {start[:80]}"
    return f"{status}: {start[:200]}"


def _refused_or_failed(status: int, detail: ErrorDetail, origin: Origin) -> Response:
    reason = f"HTTP {status}" + (f" {detail}" if str(detail) else "")
    if detail.filtered:
        missing = Missing("refused", _shortened(redact(reason)))
        return _response("", "content_filter", missing, Usage(), (), origin)
    return failed(reason, origin=origin)


def error_detail(body: Any) -> ErrorDetail:
    """The error in a body of any of the usual shapes.

    OpenAI and Gemini put an object under ``error``, Anthropic too; some servers put a text
    there, some the fields on top, and FastAPI a text or a list under ``detail``.
    """
    outer = mapping(body)
    error = outer.get("error")
    if isinstance(error, str):
        return ErrorDetail(message=error, code=_word(outer.get("code")))
    if isinstance(error, dict):
        return _error_object(error)
    detail = outer.get("detail")
    if isinstance(detail, str):
        return ErrorDetail(message=detail)
    if isinstance(detail, list):
        return _validation(objects(detail))
    return _error_object(outer)


def _error_object(error: dict[str, Any]) -> ErrorDetail:
    kind, code, status = (_word(error.get(name)) for name in ("type", "code", "status"))
    words = [word for word in (code, status, kind) if word and not word.isdigit()]
    inner = mapping(error.get("innererror") or error.get("inner_error"))
    metadata = mapping(error.get("metadata"))
    codes = {word.lower() for word in (*words, _word(inner.get("code")))}
    detail = ErrorDetail(
        message=text_or_none(error.get("message")) or "",
        code=words[0] if words else "",
        parameter=_word(error.get("param")),
        # OpenRouter's moderation says so by listing its reasons.
        filtered=bool(codes & _FILTER_CODES) or bool(metadata.get("reasons")),
    )
    raw = text_or_none(metadata.get("raw"))
    return detail if raw is None else _with_upstream(detail, raw)


def _with_upstream(outer: ErrorDetail, raw: str) -> ErrorDetail:
    """A router's error with what the provider behind it said, in JSON or in words."""
    try:
        inner = error_detail(json.loads(raw))
    except (ValueError, RecursionError):
        inner = ErrorDetail()
    said = inner.message or raw
    return ErrorDetail(
        message=outer.message if said in outer.message else f"{outer.message} ({said})".strip(),
        code=inner.code or outer.code,
        parameter=inner.parameter or outer.parameter,
        filtered=inner.filtered or outer.filtered,
    )


def _validation(problems: list[dict[str, Any]]) -> ErrorDetail:
    said, parameters = [], []
    for problem in problems:
        location = problem.get("loc")
        path = [str(part) for part in location] if isinstance(location, list) else []
        said.append(f"{'.'.join(path)}: {problem.get('msg', '')}")
        parameters += [part for part in path if part != "body"][:1]
    return ErrorDetail(message="; ".join(said), parameter=parameters[0] if parameters else "")


def _word(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)[:200] if isinstance(value, str) or abs(value) < 10**6 else ""
