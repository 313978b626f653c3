"""A function in the place of a server, and what becomes of its exceptions."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from email.utils import formatdate

import httpx

from pytest_convergence.models.calling import Call
from pytest_convergence.models.secrets import redact
from pytest_convergence.models.wire import canonical_json

_PASSING = (OSError, httpx.TransportError)
_LASTING = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    ssl.SSLCertVerificationError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_PASSING_STATUSES = (408, 409, 425, 429)


class CallableTransport(httpx.AsyncBaseTransport):
    """Answers a request by calling the function; an exception becomes an error.

    Its status is 500 or the one that the exception carries; ``x-should-retry`` says where it
    would come again.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """What the function returned as JSON, or its exception's type and message."""
        status, headers = 200, {"content-type": "application/json"}
        try:
            content = canonical_json(await self._call.answer(json.loads(await request.aread())))
        except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as problem:  # SystemExit and pytest.skip end the call, not the run
            status, content = status_of(problem) or 500, _error_body(problem)
            headers |= _pause_asked(problem) if may_pass(problem) else {"x-should-retry": "false"}
        headers["date"] = formatdate(usegmt=True)
        return httpx.Response(status, headers=headers, content=content.encode("ascii"))


def may_pass(problem: BaseException) -> bool:
    """Whether calling the function again may go better, by its exception or what that came from.

    A trouble on the way does (a broken connection, a timeout, another error of the operating
    system than over a file), and so does an error that carries the HTTP status of one. Anything
    else is taken for a fault of the function, which would come again.
    """
    seen: set[int] = set()
    cause: BaseException | None = problem
    while cause is not None and id(cause) not in seen:
        status = status_of(cause)
        if status is not None:
            return status in _PASSING_STATUSES or status >= 500
        if isinstance(cause, _PASSING) and not isinstance(cause, _LASTING):
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


def status_of(problem: BaseException) -> int | None:
    """The HTTP status that an exception of a client library carries, from 400 to 599."""
    if not isinstance(problem, Exception):  # the code of a SystemExit is none
        return None
    named = [getattr(problem, name, None) for name in ("status_code", "status", "code")]
    named.append(getattr(getattr(problem, "response", None), "status_code", None))
    known = (int(status) for status in named if isinstance(status, int) and 400 <= status < 600)
    return next(known, None)


def _pause_asked(problem: BaseException) -> dict[str, str]:
    """The ``Retry-After`` of the answer that an exception of a client library holds."""
    headers = getattr(getattr(problem, "response", None), "headers", None)
    asked = headers.get("retry-after") if isinstance(headers, Mapping) else None
    return {"retry-after": asked} if isinstance(asked, str) and asked.isascii() else {}


def _error_body(problem: BaseException) -> str:
    message = redact(str(problem))[:2000]
    return canonical_json({"error": {"type": type(problem).__name__, "message": message}})
