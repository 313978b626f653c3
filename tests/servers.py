"""A chat-completions server on loopback that answers, refuses, hangs and breaks as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Manner = Literal["whole", "hang", "drip", "reset", "half"]


@dataclass
class Asked:
    """One request as it arrived. ``number`` counts all requests from 0; times are monotonic."""

    number: int
    model: str
    prompt: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    path: str
    started: float
    finished: float | None = None
    status: int | None = None


@dataclass(frozen=True)
class Reply:
    """How a request is answered; without ``body``, by a completion whose text is unique."""

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    manner: Manner = "whole"
    text: str | None = None
    usage: tuple[int, int] = (10, 5)


Behaviour = Callable[[Asked], Reply]


def completion(asked: Asked, reply: Reply) -> bytes:
    """A chat completion; its text holds the request's number, so that no two are alike."""
    inputs, outputs = reply.usage
    text = f"answer {asked.number} to {asked.prompt}" if reply.text is None else reply.text
    return json.dumps(
        {
            "model": asked.model,
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": inputs, "completion_tokens": outputs},
        }
    ).encode()


def error(status: int, message: str = "no", **headers: str) -> Reply:
    """An error in OpenAI's format."""
    body = json.dumps({"error": {"message": message}}).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class ChatServer:
    """Serves on a thread of its own (:meth:`running`) or on the caller's loop (:meth:`listen`)."""

    def __init__(
        self, behave: Behaviour = lambda asked: Reply(), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.behave = behave
        self.asked: list[Asked] = []
        self.in_flight: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._tls = tls
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/v1"

    @property
    def answered(self) -> list[Asked]:
        """The requests that got a good answer."""
        return [asked for asked in self.asked if asked.status == 200]

    async def listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        return server

    @contextlib.contextmanager
    def running(self) -> Iterator[ChatServer]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self.listen(), loop).result()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def begin(self, asked: Asked) -> None:
        self.asked.append(asked)
        for name in (asked.model, ""):
            self.in_flight[name] += 1
            self.peak[name] = max(self.peak[name], self.in_flight[name])

    def end(self, asked: Asked, status: int | None) -> None:
        if asked.finished is None:
            asked.finished, asked.status = time.monotonic(), status
            self.in_flight[asked.model] -= 1
            self.in_flight[""] -= 1


async def _stop(server: asyncio.Server) -> None:
    server.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


class _Connection(asyncio.Protocol):
    def __init__(self, server: ChatServer) -> None:
        self._server = server
        self._data = b""
        self._asked: Asked | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, problem: Exception | None) -> None:
        if self._asked is not None:
            self._server.end(self._asked, None)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, separator, rest = self._data.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        length = int(headers.get("content-length", 0))
        if len(rest) >= length:
            self._data = rest[length:]
            self._received(first.split(" ")[1], headers, rest[:length])

    def _received(self, path: str, headers: Mapping[str, str], content: bytes) -> None:
        body = json.loads(content or b"{}")
        prompt = body["messages"][-1]["content"] if "messages" in body else ""
        number, now = len(self._server.asked), time.monotonic()
        asked = Asked(number, body.get("model", ""), prompt, headers, body, path, now)
        self._asked = asked
        self._server.begin(asked)
        reply = self._server.behave(asked)
        if reply.after:
            asyncio.get_running_loop().call_later(reply.after, self._answer, asked, reply)
        else:
            self._answer(asked, reply)

    def _answer(self, asked: Asked, reply: Reply) -> None:
        if self._transport.is_closing() or reply.manner == "hang":
            return
        if reply.manner == "reset":
            self._transport.abort()
            return
        content = completion(asked, reply) if reply.body is None else reply.body
        extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head = f"HTTP/1.1 {reply.status} X\r\ncontent-length: {len(content)}\r\n{extra}\r\n"
        whole = head.encode() + content
        if reply.manner == "half":
            self._transport.write(whole[: len(whole) - len(content) // 2])
            self._transport.close()
        elif reply.manner == "drip":
            self._drip(whole)
        else:
            self._server.end(asked, reply.status)
            self._transport.write(whole)

    def _drip(self, rest: bytes) -> None:
        if rest and not self._transport.is_closing():
            self._transport.write(rest[:1])
            asyncio.get_running_loop().call_later(0.05, self._drip, rest[1:])
