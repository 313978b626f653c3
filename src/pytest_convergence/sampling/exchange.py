"""One request on the wire: sent, read whole, and judged. Nothing here is ever retried.

Only recording imports this module: it needs httpx.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.fidelity import rejected_parameters
from pytest_convergence.models.response import Response
from pytest_convergence.models.secrets import kept_headers, redact
from pytest_convergence.models.wire import Model, WireRequest, WireResponse
from pytest_convergence.sampling.headers import pause_asked
from pytest_convergence.sampling.loop import THREAD_NAME

Verdict: TypeAlias = Literal["answer", "retry", "fail", "stop"]

_LARGEST_BODY = 64 * 2**20
_LOGGED_PARTS = ("connection", "http11", "http2", "proxy", "socks")
_TRANSIENT = {408, 409, 425, 429}
_PAYMENT = {"insufficient_quota", "billing_hard_limit_reached", "insufficient_credits"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of one attempt.

    Attributes
    ----------
    verdict
        ``answer`` is kept; ``retry`` may go better next time; ``fail`` would fail again;
        ``stop`` concerns every call to this model (a wrong key, no money left).
    response, answer
        What came back and how it reads; None where nothing whole did, or no answer.
    reason
        Why it is no answer, for people.
    pause
        Seconds that the provider asks to wait before the next call.
    pressure
        From 0 to 1: how much the failure speaks for asking less.
    sent
        When the attempt began (monotonic).
    """

    verdict: Verdict
    response: WireResponse | None = None
    answer: Response | None = None
    reason: str = ""
    pause: float = 0.0
    pressure: float = 0.0
    sent: float = 0.0

    @property
    def status(self) -> int | None:
        """The HTTP status, where there is one."""
        return None if self.response is None else self.response.status


class Clients:
    """An HTTP client for each model (one pool for all is several times slower), one TLS context.

    Proxies are those of the environment (``HTTP_PROXY`` and its kin). Redirects are never
    followed: a key goes nowhere but to the host that it is for.
    """

    def __init__(self) -> None:
        _keep_out_of_logs()
        self._clients: dict[str, httpx.AsyncClient] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def of(self, model: Model) -> httpx.AsyncClient:
        """The client that asks this model."""
        client = self._clients.get(model.name)
        if client is None:
            client = self._clients[model.name] = httpx.AsyncClient(
                transport=None if model.transport is None else model.transport(),
                verify=self._tls,
                timeout=None,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            )
        return client

    async def send(self, model: Model, request: WireRequest, timeout: float) -> Exchange:
        """One attempt, from connecting to the last byte within ``timeout`` seconds; never raises.

        Cancelling it is the one way out without an exchange.
        """
        sent = time.monotonic()
        try:
            self.of(model)
        except Exception as problem:  # of whoever wrote what makes the transport
            reason = f"its transport cannot be made: {type(problem).__name__}: {problem}"
            return Exchange("stop", reason=redact(reason, model.key), sent=sent)
        try:
            async with asyncio.timeout(timeout):
                response = await self._send(model, request)
        except TimeoutError:
            reason = f"no whole answer within {timeout:g} s"
            return Exchange("retry", reason=reason, pressure=0.25, sent=sent)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as problem:
            reason = redact(_transport_reason(problem), model.key)
            lasting = isinstance(problem, _LASTING) or "CERTIFICATE_VERIFY_FAILED" in reason
            return Exchange("stop" if lasting else "retry", reason=reason, sent=sent)
        return judge(model, response, sent=sent)

    async def _send(self, model: Model, request: WireRequest) -> WireResponse:
        headers = {"content-type": "application/json", **model.adapter.headers(model.key)}
        client = self.of(model)
        asked = client.build_request(
            request.method, request.url, headers=headers, content=request.body.encode()
        )
        response = await client.send(asked, stream=True)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        headers = kept_headers(response.headers)
        if 300 <= response.status_code < 400:
            headers["location"] = response.headers.get("location", "")
        return WireResponse(response.status_code, headers, body)

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


class _OtherThreads(logging.Filter):
    """Lets through what other threads log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD_NAME


def _keep_out_of_logs() -> None:
    # At the level DEBUG they log every header of every answer, cookies included.
    for name in ("httpx", *(f"httpcore.{part}" for part in _LOGGED_PARTS)):
        logger = logging.getLogger(name)
        if not any(isinstance(present, _OtherThreads) for present in logger.filters):
            logger.addFilter(_OtherThreads())


async def _read(response: httpx.Response) -> str:
    body = bytearray()
    async for block in response.aiter_bytes():
        body += block
        if len(body) > _LARGEST_BODY:
            raise httpx.ReadError(f"the answer is longer than {_LARGEST_BODY >> 20} MB")
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


_LASTING = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
    ValueError,
)


def _transport_reason(problem: Exception) -> str:
    said = str(problem) or type(problem).__name__
    if isinstance(problem, httpx.ConnectError | httpx.ProxyError):
        return f"no connection: {said}"
    if isinstance(problem, httpx.RemoteProtocolError):
        return f"the answer broke off or is not HTTP: {said}"
    if isinstance(problem, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return f"the connection broke: {said}"
    return f"{type(problem).__name__}: {said}"


def judge(model: Model, response: WireResponse, *, sent: float) -> Exchange:
    """What to do with an answer that arrived whole."""
    status = response.status
    answer = model.adapter.parse(response)
    error = answer.missing is not None and answer.missing.kind == "error"
    if answer.refused or (200 <= status < 300 and not error):
        return Exchange("answer", response, answer, sent=sent)
    if 300 <= status < 400:
        return Exchange("stop", response, reason=_redirect_reason(response), sent=sent)
    said = answer.missing.reason if answer.missing is not None else f"HTTP {status}"
    reason = redact(said, model.key)
    if status in (401, 402) or _payment(response):
        return Exchange("stop", response, reason=reason, sent=sent)
    return Exchange(
        "retry" if _transient(response) else "fail",
        response,
        reason=reason,
        pause=pause_asked(response.headers),
        pressure=_pressure(status),
        sent=sent,
    )


def not_retried_in_vain(exchange: Exchange, decoding: Decoding | None) -> Exchange:
    """The same exchange, final where its error says that it does not take a parameter.

    Some servers answer with an error 500 what others call a 400. A server that itself asks for
    another try (``x-should-retry``) gets it.
    """
    response = exchange.response
    if exchange.verdict != "retry" or response is None or decoding is None:
        return exchange
    if "x-should-retry" in response.headers or not rejected_parameters(decoding, response):
        return exchange
    return replace(exchange, verdict="fail", pause=0.0, pressure=0.0)


def _transient(response: WireResponse) -> bool:
    """Whether another try may go better; an error inside a 200 is a server in trouble."""
    said = response.headers.get("x-should-retry", "").lower()
    status = response.status
    likely = status < 300 or status in _TRANSIENT or status >= 500
    return {"true": True, "false": False}.get(said, likely)


def _redirect_reason(response: WireResponse) -> str:
    target = response.headers.get("location") or "nowhere"
    host = urlsplit(target).netloc.rpartition("@")[2] or target
    return (
        f"HTTP {response.status}: the server redirects to {redact(host)}; "
        "not followed, since the key goes to no other address"
    )


def _payment(response: WireResponse) -> bool:
    return response.status == 429 and any(code in response.body for code in _PAYMENT)


def _pressure(status: int) -> float:
    if status == 429:
        return 1.0
    if status in (503, 529):
        return 0.5
    return 0.0 if 400 <= status < 500 else 0.25
