"""A chat-completions server on loopback with set latency and failures, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any


class Study:
    """What the server saw. Times are monotonic."""

    def __init__(self, latency: float, failing: float, seed: int, full: int) -> None:
        self.latency = latency
        self.failing = failing
        self.random = random.Random(seed)
        self.calls = 0
        self.answers: Counter[bytes] = Counter()
        self.first = 0.0
        self.last = 0.0
        self.in_flight = 0
        self.peak = 0
        self.full = full
        self.full_at = 0.0
        self.finished: list[float] = []

    def stats(self) -> dict[str, Any]:
        """The figures so far."""
        now = time.monotonic()
        recent = sum(moment > now - 0.1 for moment in self.finished[-2000:])
        return {
            "calls": self.calls,
            "answers": sum(self.answers.values()),
            "distinct": len(self.answers),
            "duplicates": sum(self.answers.values()) - len(self.answers),
            "wall": self.last - self.first,
            "first": self.first,
            "peak": self.peak,
            # What was sent a moment ago may not have arrived.
            "in_flight": self.in_flight + recent,
            "ramp": max(self.full_at - self.first, 0.0),
        }


class _Connection(asyncio.Protocol):
    def __init__(self, study: Study) -> None:
        self._study = study
        self._data = b""
        self._transport: asyncio.Transport
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, problem: Exception | None) -> None:
        del problem
        if self._open:
            self._study.in_flight -= 1
            self._open = False

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, separator, rest = self._data.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.lower().index(b"content-length:") + 15
        length = int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else None])
        if len(rest) < length:
            return
        body, self._data = rest[:length], rest[length:]
        study = self._study
        study.calls += 1
        study.first = study.first or time.monotonic()
        study.in_flight += 1
        study.peak = max(study.peak, study.in_flight)
        if study.in_flight >= study.full and not study.full_at:
            study.full_at = time.monotonic()
        self._open = True
        if study.latency:
            asyncio.get_running_loop().call_later(study.latency, self._answer, body)
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if self._transport.is_closing():
            return
        study = self._study
        if study.failing and study.random.random() < study.failing:
            status, content = study.random.choice((429, 503)), b'{"error": {"message": "busy"}}'
        else:
            study.answers[body] += 1
            status, content = 200, _completion(study.calls)
        study.in_flight -= 1
        study.last = time.monotonic()
        study.finished.append(study.last)
        self._open = False
        head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, len(content)) + content)


def _completion(number: int) -> bytes:
    text = f"Answer {number}: " + "the harbour lay quiet under a low sun, and nobody spoke. " * 10
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": f"c-{number}",
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 130},
        }
    ).encode()


async def _serve(latency: float, failing: float, seed: int, full: int) -> None:
    study = Study(latency, failing, seed, full)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(study), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        print(json.dumps(study.stats()), flush=True)


class Server:
    """The server from outside: its address, and what it saw so far."""

    def __init__(
        self, *, latency: float = 0.0, failing: float = 0.0, seed: int = 0, full: int = 0
    ) -> None:
        given = map(str, (latency, failing, seed, full))
        command = [sys.executable, str(Path(__file__)), *given]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"

    def stats(self) -> dict[str, Any]:
        """What it saw so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seen: dict[str, Any] = json.loads(self._process.stdout.readline())
        return seen

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *problem: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
