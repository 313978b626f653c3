"""No key, cookie or organisation id reaches a file, in either direction.

What may be kept is listed, what is listed nowhere is dropped: headers, query parameters. Bodies
cannot be listed (a provider's own parameters change its answer), so in them the fields that name
a person, an account or a key go, and every text that is a known key or has the shape of one.

Scrubbing is part of a request's identity: a question asked with another ``user`` is the same
question. What a model said is scrubbed before anything reads it, live as well as replayed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from pytest_convergence.models.secrets import kept_headers
from pytest_convergence.models.wire import WireRequest, WireResponse

SCRUBBED = "[scrubbed]"
_SCRUBBED_IN_URL = "scrubbed"  # brackets in a URL stand for an address
QUERY_PARAMETERS = frozenset({"api-version", "alt", "beta", "deployment", "model", "version"})

# A shorter "key" is a placeholder for a local server ("EMPTY", "none"), and a word of its answers.
_SHORTEST_KEY = 8

_HTTP = re.compile(r"https?://", re.IGNORECASE)

# Shapes that no prose has: a provider's prefix, then letters with at least one digit (or the
# stars with which providers mask the key that they echo). A shape may follow an escape of JSON.
# Look-aheads are bounded, so that no text takes more than linear time.
_START = r"(?:(?<!\w)|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))"
_SHAPES = re.compile(
    _START + r"(?:(?:sk|pk|rk|gsk|xai|pplx|nvapi|csk|fw|tgp|r8|hf|key)[-_]"
    r"(?=[\w*-]{0,99}[\d*])[\w*-]{16,}"
    r"|sk-[\w-]{0,16}\*{3,}[\w*-]*"
    r"|(?:org|proj|user|acct)[-_](?=[A-Za-z0-9]{0,99}\d)[A-Za-z0-9]{16,}"
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{20,}|AKIA[0-9A-Z]{16}\b|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|(?<!-)eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"
    r"|(?<=[Bb]earer )(?=[\w.~+/-]{0,99}\d)[\w.~+/-]{20,}=*)"
)

_PERSONAL = ("user", "metadata", "safety_identifier", "prompt_cache_key", "end_user_id")
_ACCOUNT = (
    r"user_?id|account_?id|organi[sz]ation(?:_?id)?|org_?id|project_?id|(?:x-)?api[-_]?key"
    r"|authorization|access_token|client_secret|password"
)
_PERSONAL_FIELD = re.compile(rf'"(?:{"|".join(_PERSONAL)})"\s*:', re.IGNORECASE)
# An unescaped quote before a colon ends a name: inside a string it would be escaped.
_ACCOUNT_FIELD = re.compile(
    rf'("(?:{_ACCOUNT})"\s*:\s*)(?:"(?:[^"\\]|\\.)*+"|-?\d[\d.eE+-]*)', re.IGNORECASE
)


@dataclass(frozen=True)
class Scrubber:
    """Takes secrets out of what is about to be kept. Scrubbing twice changes nothing more.

    Parameters
    ----------
    keys
        Known keys; their values are replaced wherever they stand, also percent-encoded, escaped
        as in JSON, or in base64.
    """

    keys: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str | None]) -> Scrubber:
        """A scrubber that knows these keys; None and placeholders are left out."""
        return cls(frozenset(key for key in keys if key and len(key) >= _SHORTEST_KEY))

    def request(self, request: WireRequest) -> WireRequest:
        """The request as it is kept and found."""
        url = self._url(request.url)
        body = self._body(request.body)
        if url == request.url and body == request.body:
            return request
        return WireRequest(request.method, url, body)

    def response(self, response: WireResponse) -> WireResponse:
        """The response as it is kept; its body can be written as UTF-8."""
        return WireResponse(
            response.status, self.headers(response.headers), _encodable(self._body(response.body))
        )

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that may be kept of a response, by name in lower case."""
        return {name: self.text(value) for name, value in kept_headers(headers).items()}

    def text(self, text: str) -> str:
        """The text without known keys and without anything that has the shape of a key."""
        if self._known is not None:
            text = self._known.sub(SCRUBBED, text)
        return _SHAPES.sub(SCRUBBED, text)

    @cached_property
    def _known(self) -> re.Pattern[str] | None:
        spellings = {spelling for key in self.keys for spelling in _spellings(key)}
        if not spellings:
            return None
        longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
        return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def secrets_in(self, text: str) -> list[str]:
        """What this scrubber would not have let through, shortened so that it can be shown."""
        found = [match.group() for match in _SHAPES.finditer(text)]
        if self._known is not None:
            found += [match.group() for match in self._known.finditer(text)]
        return sorted({f"{secret[:4]}… ({len(secret)} characters)" for secret in found})

    def _body(self, body: str) -> str:
        if _PERSONAL_FIELD.search(body):
            body = _impersonal(body)
        return self.text(_ACCOUNT_FIELD.sub(rf'\1"{SCRUBBED}"', body))

    def _url(self, url: str) -> str:
        url = self.text(url).replace(SCRUBBED, _SCRUBBED_IN_URL)
        if not _HTTP.match(url) or not ("?" in url or "@" in url or "#" in url):
            return url
        try:
            parts = urlsplit(url)
        except ValueError:  # no address at all, so nothing is ever sent there
            return url.partition("?")[0]
        query = [
            (name, self._parameter(name, value))
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, urlencode(query), ""))

    def _parameter(self, name: str, value: str) -> str:
        if name.lower() not in QUERY_PARAMETERS:
            return _SCRUBBED_IN_URL
        return self.text(value).replace(SCRUBBED, _SCRUBBED_IN_URL)


def _spellings(key: str) -> set[str]:
    spellings = {
        key,
        quote(key, safe=""),
        quote(key),
        quote_plus(key),
        json.dumps(key)[1:-1],
        json.dumps(key, ensure_ascii=False)[1:-1],
        base64.b64encode(key.encode("utf-8", "surrogatepass")).decode().rstrip("="),
    }
    return spellings | {json.dumps(spelling)[1:-1] for spelling in spellings}


def _impersonal(body: str) -> str:
    """A JSON object's text without the top-level fields that name a person, in its own order."""
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            return body
        kept = {name: inner for name, inner in value.items() if name.lower() not in _PERSONAL}
        return body if len(kept) == len(value) else json.dumps(kept, separators=(",", ":"))
    except (ValueError, RecursionError):
        return body


def _encodable(text: str) -> str:
    """Lone surrogates written as JSON escapes, which mean the same inside a JSON string."""
    if text.isascii():
        return text
    return "".join(
        f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character
        for character in text
    )
