"""How a function is called: arguments, threads, and what becomes of its exceptions."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from email.utils import formatdate
from typing import Any

import anyio.to_thread
import httpx
from msgspec import Struct

from pytest_convergence.models.context import sample_index
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.response import Response
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

_FIELDS = set(Response.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it accepts."""

    function: Callable[..., Any]
    takes_messages: bool
    takes_decoding: bool
    takes_sample: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Call:
        """What the function's signature says; without one it gets the prompt alone."""
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return cls(function, False, False, False)
        anything = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
        named = {item.name for item in parameters.values() if item.kind is not item.POSITIONAL_ONLY}
        decoding, sample = (anything or name in named for name in ("decoding", "sample"))
        first = next(iter(parameters), "")
        return cls(function, decoding or sample or first == "messages", decoding, sample)

    async def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call the function with what a request's body says; the answer in JSON types."""
        prompt: Any = body["messages"]
        if not self.takes_messages and len(prompt) == 1 and prompt[0]["role"] == "user":
            prompt = prompt[0]["content"]
        keywords: dict[str, Any] = {}
        if self.takes_decoding:
            values = body.get("decoding", {})
            keywords["decoding"] = Decoding.from_mapping(values, where="a callable's request")
        if self.takes_sample:
            keywords["sample"] = sample_index.get()
        return answer_as_json(await self._called(prompt, keywords))

    async def _called(self, prompt: Any, keywords: dict[str, Any]) -> Any:
        function = self.function
        own = type(function).__call__
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(own):
            return await function(prompt, **keywords)
        # How many run at once is the sampler's affair, and one that hangs is left behind.
        value = await anyio.to_thread.run_sync(
            lambda: function(prompt, **keywords),
            abandon_on_cancel=True,
            limiter=anyio.CapacityLimiter(math.inf),
        )
        return await value if inspect.isawaitable(value) else value


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


def answer_as_json(answer: Any) -> dict[str, Any]:
    """What a function returned, in JSON types.

    Raises
    ------
    TypeError
        Where it is neither a text, nor a Response, nor a mapping with ``text`` and otherwise
        only fields of a Response.
    """
    if isinstance(answer, str):
        return {"text": answer}
    if isinstance(answer, Response):
        default = Response(text="")
        values = {name: getattr(answer, name) for name in Response.__struct_fields__}
        return {"text": answer.text} | {
            name: _in_json_types(value)
            for name, value in values.items()
            if value != getattr(default, name)
        }
    if not isinstance(answer, Mapping):
        raise TypeError(f"the function returned {type(answer).__name__}, not a text or a Response")
    unknown = sorted(str(name) for name in answer if name not in _FIELDS)
    if unknown or not isinstance(answer.get("text"), str):
        problem = f"has the unknown field {unknown[0]!r}" if unknown else "has no text"
        raise TypeError(f"the function returned a mapping that {problem}")
    return {name: _in_json_types(value) for name, value in answer.items()}


def _in_json_types(value: Any) -> Any:
    """Structs and dataclasses as objects; the rest as it is, to be refused where it is written."""
    if isinstance(value, Struct):
        return {name: _in_json_types(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_in_json_types(one) for one in value]
    return value


def _error_body(problem: BaseException) -> str:
    message = redact(str(problem))[:2000]
    return canonical_json({"error": {"type": type(problem).__name__, "message": message}})
