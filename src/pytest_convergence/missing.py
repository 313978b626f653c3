"""Logged answers that are none: error texts, nothing at all, and what was cut off.

A log keeps what a script wrote down where the answer should stand, so an error is a text like any
other. It is recognised by the signature of the software that wrote it, never by a word: an answer
may discuss errors, quote them and be full of tracebacks.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec.structs import replace

from pytest_convergence.models.response import Finish, Missing, Response
from pytest_convergence.models.secrets import redact
from pytest_convergence.text import printable

_REASON_LIMIT = 200
_LONGEST_ERROR = 20_000
_LONGEST_BARE_ERROR = 1_000

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "recitation": "content_filter",
    "spii": "content_filter",
    "tool_calls": "tool",
    "tool_use": "tool",
    "function_call": "tool",
}
_FAILED_FINISHES = {"error", "failed", "timeout", "cancelled", "malformed_function_call"}

_STATUS_PHRASES = (
    r"bad request|unauthorized|payment required|forbidden|not found|method not allowed"
    r"|request time-?out|conflict|payload too large|unprocessable (?:entity|content)"
    r"|too many requests|internal server error|not implemented|bad gateway"
    r"|service (?:temporarily )?unavailable|gateway time-?out|overloaded|site is overloaded"
)
_CLIENT_ERROR = (
    r"(?:RateLimit|APIStatus|APIConnection|APITimeout|API|APIResponseValidation|Authentication"
    r"|PermissionDenied|BadRequest|NotFound|InternalServer|ServiceUnavailable|Overloaded"
    r"|UnprocessableEntity|Connection|ConnectionReset|ConnectionRefused|RemoteDisconnected"
    r"|ClientConnector|ClientResponse|ClientPayload|ServerDisconnected|HTTPStatus|HTTP|URL|SSL"
    r"|Proxy|Protocol|RemoteProtocol|ResourceExhausted|DeadlineExceeded|ContextWindowExceeded"
    r"|InvalidRequest|MaxRetry|NewConnection|JSONDecode|Axios|Fetch)"
    r"(?:Error|Exception)"
    r"|(?:Connect|Read|Write|Pool|Socket)Timeout(?:Error|Exception)?|TimeoutError|TimeoutException"
    r"|ResourceExhausted|DeadlineExceeded|ServiceUnavailable|TooManyRequests"
)
_LIBRARIES = (
    r"openai|anthropic|google|genai|vertexai|litellm|httpx|httpcore|requests|urllib3|aiohttp|boto3"
    r"|botocore|mistralai|cohere|groq|together|replicate|huggingface_hub|ollama|asyncio|socket|ssl"
    r"|http\.client|tenacity|java\.net|java\.io|node:internal|langchain"
)

# Each matches from the first character on; what it matches no model writes as its answer. One
# expression each for all of a kind, for every answer that is replayed is asked.
_CERTAIN = "|".join((
    rf"(?:{_LIBRARIES})[\w.]*\.(?:{_CLIENT_ERROR})\b\s*(?::|$)",
    rf"(?i:error|exception|failed)\s*:\s*(?:[\w.]+\.)?(?:{_CLIENT_ERROR})\b",
    r"(?i:error:\s*)?(?i:api (?:error|request failed|call failed|connection error))"
    r"\s*(?:[:\-–(]|\d{3}\b)",  # noqa: RUF001
    r"(?i:error:\s*)?(?i:error code):\s*[45]\d\d\b",
    r"(?i:error|exception)\s*[:\-–]\s*(?i:http(?: status| error)?|status(?: code)?)?\s*:?\s*"  # noqa: RUF001
    rf"[45]\d\d\b(?:\s*$|\s*[:\-({{]|\s*,|\s+(?i:{_STATUS_PHRASES}|client error|server error))",
    r"[45]\d\d (?:Client|Server) Error: .{0,100}? for url:",
    r"(?:Client|Server) error '[45]\d\d .{0,60}?' for url",
    r"(?:HTTPS?ConnectionPool|HTTPConnection)\(host=",
    r"(?i:error:\s*)?(?i:request failed with status code) [45]\d\d\s*\.?$",
    r"(?:\('Connection aborted\.'|Cannot connect to host \S+:\d+)",
    r"(?i:error:\s*)?\[Errno -?\d+\] ",
    r"(?i:upstream connect error or disconnect/reset before headers)",
    r"(?:<Response \[[45]\d\d\]>|<_?(?:InactiveRpcError|MultiThreadedRendezvous) of RPC)",
    r"(?i:error:\s*)?(?:ClientError: )?An error occurred \(\w+\) when calling the \w+",
    r"(?i:error:\s*)?You exceeded your current quota, please check your plan",
    r"(?i:error:\s*)?Rate limit (?:reached|exceeded) for (?:model |requests|gpt|\S+ in org)",
    r"(?i:error:\s*)?This model's maximum context length is \d+ tokens",
    r"(?i:error:\s*)?Incorrect API key provided",
))  # fmt: skip

# An answer to a question about errors can look like these; they count where none was asked.
_LIKELY = "(?i)(?:" + "|".join((
    r"(?:error:?\s*)?(?:http(?:/\d(?:\.\d)?)?\s*)?(?:error\s*)?[45]\d\d[\s:\-]*"
    rf"(?:{_STATUS_PHRASES})",
    r"(?:error[\s:]*)?(?:http|status)(?: (?:error|status|code))*[\s:]*[45]\d\d",
    rf"error:\s*(?:[45]\d\d\s*)?(?:{_STATUS_PHRASES})",
    r"error:\s*(?:[45]\d\d[\s:\-]*)?(?:(?:the )?(?:api|llm|model) )?"
    r"(?:call|request|query)?\s*failed",
    r"(?:error:?\s*)?[45]\d\d[\s:\-]*(?:rate limit|quota) (?:exceeded|reached)",
    r"[\[<]error[\]>][\s:\-]*(?:time-?d? ?out|failed|unavailable|rate limit(?: exceeded)?)",
    r"internal server error|too many requests|bad gateway|gateway time-?out"
    r"|service (?:temporarily )?unavailable|request time-?out",
    r"(?:error:\s*)?(?:the )?(?:request|read|connection|operation|gateway) timed? ?out",
    r"(?:error:\s*)?connection (?:error|reset by peer|refused|aborted)",
    r"(?:error:\s*)?(?:rate limit|quota) (?:exceeded|reached)(?:[.,:]? please .{0,60})?",
    r"(?:error:\s*)?(?:the )?(?:model|engine|server) is (?:currently )?"
    r"(?:overloaded|unavailable)(?:[.,:]? please .{0,60})?",
    r"(?:error:\s*)?(?:invalid|missing|no) api key(?: provided)?",
    r"(?:error:\s*)?failed to (?:get|fetch|generate)(?: an?| the)? (?:response|completion)"
    r"(?: (?:after|from) .{0,80})?",
    r"[\[<](?:(?:api|request|generation)[ _])?(?:error|failed|timeout|timed out)[\]>]",
)) + r")\s*[.!]?"  # fmt: skip
_ASKS_ABOUT_ERRORS = (
    r"(?i)\b(?:errors?|exceptions?|http|status|traceback|stack ?trace|json|html|python"
    r"|java(?:script)?|timeouts?|timed? out|rate limits?|quota|repeat|translate)\b"
)

_ERROR_TYPES = (
    r"(?:invalid_request|rate_limit|authentication|permission|not_found|overloaded|api"
    r"|server|billing|timeout|internal_server)_error|request_too_large"
    r"|insufficient_quota|rate_limit_exceeded|model_not_found|invalid_api_key"
    r"|context_length_exceeded|RESOURCE_EXHAUSTED|UNAVAILABLE|INVALID_ARGUMENT|PERMISSION_DENIED"
    r"|NOT_FOUND|INTERNAL|UNAUTHENTICATED|DEADLINE_EXCEEDED|FAILED_PRECONDITION"
)
_ENVELOPE = {
    "error", "type", "message", "code", "status", "status_code", "statusCode", "param", "detail",
    "request_id", "requestId", "user_id", "id", "timestamp", "path", "success", "object",
    "provider", "metadata",
}  # fmt: skip
_PAGE = rf"(?i)<title>[^<]*(?:\b[45]\d\d\b|error|{_STATUS_PHRASES})[^<]*</title>"
_PAGE_SERVER = r"(?i)nginx|cloudflare|openresty|apache/|varnish|cloudfront|akamai"
_CUT_MARK = (
    r"(?i)[\[(<|]+\s*(?:(?:output|response|text|answer|message) )?(?:was )?"
    r"(?:truncated|cut off|incomplete)\b[^\])>|]{0,60}[\])>|]+\s*$"
)
_CLOSING = tuple("])>|")
_REASONING = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)(?:</\1>|\Z)", re.DOTALL)
_TRACE_HEAD = rf"(?:[\w.]+\.)?(?:Error|\w*(?:{_CLIENT_ERROR}))\b"
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}

# The words that these begin with, where a space follows. An answer that begins with another one,
# as nearly all do, is none of them, and is told from them without an expression.
_CERTAIN_WORDS = {
    "an", "api", "cannot", "client", "exception", "failed", "incorrect", "rate",
    "request", "server", "this", "traceback", "upstream", "you",
}  # fmt: skip
_LIKELY_WORDS = {
    "bad", "connection", "engine", "failed", "gateway", "internal", "invalid",
    "missing", "model", "no", "operation", "quota", "rate", "read", "request", "server",
    "service", "status", "the", "too",
}  # fmt: skip
_RUN_TOGETHER = ("error", "http")  # alone, or with what follows: "errorstatus 500"

# Most runs need few of them, and compiling them all takes as long as reading a cassette.
_pattern = cache(re.compile)


def recognise(
    text: str | None, finish: str | None = None, *, prompt: str | None = None
) -> Missing | None:
    """Why a logged text is no answer, or None where it is one.

    Parameters
    ----------
    text
        What the log holds where the answer should stand; None counts as empty.
    finish
        The provider's word for how the answer ended, where the log keeps it (``length``,
        ``MAX_TOKENS``, ``content_filter`` …). Without one, only a text that says itself that it
        was cut off is truncated: an answer may well end without a full stop.
    prompt
        What was asked. A bare ``429 Too Many Requests``, a JSON error object or a traceback is
        an answer where the prompt asks for such things, and an error elsewhere.

    Returns
    -------
    Missing
        ``error``, ``empty``, ``truncated`` or ``refused``, with its reason made printable and
        its keys taken out.
    """
    text = text or ""
    ended = _finish_word(finish)
    if ended in _FAILED_FINISHES:
        return Missing("error", _reason(text) if text.strip() else f"finish {ended}")
    problem = _error_in(text, prompt)
    if problem is not None:
        return Missing("error", problem)
    known = _FINISHES.get(ended)
    if known in ("refusal", "content_filter"):
        return Missing("refused", f"finish {ended}")
    if known == "length":
        return Missing("truncated", f"finish {ended}")
    return _nothing_or_cut(text)


def recognised(response: Response) -> Response:
    """A response with an error that came as its text named as such: some proxies answer so."""
    if response.missing is not None or is_plain(response.text):
        return response
    missing = recognise(response.text)
    return response if missing is None else replace(response, missing=missing)


def is_plain(text: str) -> bool:
    """Whether a text is so ordinary that :func:`recognise` need not look into it.

    It begins with a word and a space, and ends in nothing that a mark of what was cut off ends in.
    Whoever is not sure says no.
    """
    word, space, _ = text.partition(" ")
    if not (space and word.isascii() and word.isalpha() and (word.istitle() or word.islower())):
        return False
    word = word.lower()
    if word.startswith(_RUN_TOGETHER):
        return False
    if word in _CERTAIN_WORDS or (len(text) <= _LONGEST_BARE_ERROR and word in _LIKELY_WORDS):
        return False
    return not (text[-1].isspace() or text.endswith(_CLOSING))


def logged_response(
    text: str | None, finish: str | None = None, *, prompt: str | None = None
) -> Response:
    """A logged text as a response, with what is recognised as missing marked so."""
    missing = recognise(text, finish, prompt=prompt)
    ended: Finish = _FINISHES.get(_finish_word(finish), "unknown") if finish else "stop"
    return Response(text=text or "", finish=ended, missing=missing)


def _finish_word(finish: str | None) -> str:
    """In lower case and without an enumeration's name: ``FinishReason.MAX_TOKENS``."""
    return "" if not finish else finish.strip().lower().replace("-", "_").rpartition(".")[2]


def _nothing_or_cut(text: str) -> Missing | None:
    if _blank(text):
        return Missing("empty", "no text")
    reasoning = _REASONING.match(text)
    if reasoning and _blank(text[reasoning.end() :]):
        if text.rstrip().endswith(f"</{reasoning[1]}>"):
            return Missing("empty", "reasoning and no answer")
        return Missing("truncated", "cut off in its reasoning")
    if text.rstrip().endswith(_CLOSING) and _pattern(_CUT_MARK).search(text[-200:]):
        return Missing("truncated", "the text says it was cut off")
    return None


def _blank(text: str) -> bool:
    return not text[:1].isalnum() and all(
        unicodedata.category(character) in _INVISIBLE for character in text
    )


def _error_in(text: str, prompt: str | None) -> str | None:
    stripped = text.strip().lstrip("\ufeff")
    if not stripped or len(stripped) > _LONGEST_ERROR:
        return None
    first, _, rest = stripped.partition("\n")
    if _pattern(_CERTAIN).match(first) and not _is_prose(rest):
        return _reason(first)
    if prompt is not None and _pattern(_ASKS_ABOUT_ERRORS).search(prompt):
        return None
    if len(stripped) <= _LONGEST_BARE_ERROR and _pattern(_LIKELY).fullmatch(stripped):
        return _reason(stripped)
    if stripped[0] in "{[":
        return _error_object(stripped)
    return _error_page(stripped) if stripped[0] == "<" else _stack_trace(stripped)


def _is_prose(rest: str) -> bool:
    """Whether what follows an error's first line is somebody explaining it."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"https?://\S+", "", rest))
    return any(
        len(re.findall(r"\b[a-z']+\b", paragraph)) >= 8
        and not re.match(r"\s*(?:File \"|at |Traceback|[{\[<]|\w+(?:Error|Exception)\b)", paragraph)
        for paragraph in paragraphs
    )


def _reason(text: str) -> str:
    shown = redact(" ".join(text.split()))
    return printable(shown, limit=_REASON_LIMIT)


def _error_object(text: str) -> str | None:
    """The message of a provider's error object; JSON, or a Python dict that somebody printed."""
    body = _loaded(text)
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict) or not set(body) <= _ENVELOPE:
        return None
    error = body.get("error", body)
    if isinstance(error, str):
        error = {**body, "message": error}
    if not isinstance(error, dict):
        return None
    said = str(error.get("message") or error.get("detail") or "")
    words = [str(error.get(key, "")) for key in ("type", "status", "code", "status_code")]
    signed = any(
        _pattern(_ERROR_TYPES).fullmatch(word) or re.fullmatch(r"[45]\d\d", word) for word in words
    )
    worded = _pattern(_CERTAIN).match(said) or _pattern(_LIKELY).fullmatch(said)
    return _reason(said or text) if signed or worded else None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _error_page(text: str) -> str | None:
    if not re.match(r"(?i)<!doctype html|<html", text):
        return None
    title = _pattern(_PAGE).search(text[:4000])
    if title is None or not _pattern(_PAGE_SERVER).search(text):
        return None
    return _reason(re.sub(r"<[^>]*>", "", title[0]))


def _stack_trace(text: str) -> str | None:
    """The telling line of a client library's stack trace that is the whole of the text."""
    python = text.startswith("Traceback (most recent call last):")
    if "\n" not in text or not (python or _pattern(_TRACE_HEAD).match(text)):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if python:
        last = lines[-1]
        named = re.match(r"[\w.]+(?::|$)", last)
        from_library = re.search(rf'File "[^"]*(?:site|dist)-packages/(?:{_LIBRARIES})', text)
        of_client = re.match(rf"(?:[\w.]+\.)?(?:{_CLIENT_ERROR})\b", last)
        return _reason(last) if named and (from_library or of_client) else None
    frames = [line for line in lines[1:] if re.match(r"\s+at [\w.$<>\[\] /]+\(", line)]
    from_library = re.search(r"node_modules|java\.net|node:internal", text)
    whole = len(frames) == len(lines) - 1 > 0
    return _reason(lines[0]) if from_library and whole else None
