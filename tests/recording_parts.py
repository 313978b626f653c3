"""What the tests of recordings share: units, answers and a server that counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pytest_convergence.cassettes import Recorded
from pytest_convergence.held_cassettes import Found
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.wire import Model, WireRequest, WireResponse, canonical_json
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.plan import Unit, cassette_path

URL = "https://api.example.com/v1/chat/completions"
NOON = "2026-11-20T12:00:00+00:00"


def request(prompt: str = "Why?", *, url: str = URL, **parameters: object) -> WireRequest:
    messages = [{"role": "user", "content": prompt}]
    return WireRequest("POST", url, canonical_json({"messages": messages, **parameters}))


def answer(text: str = "Because.", status: int = 200) -> WireResponse:
    body = json.dumps({"choices": [{"message": {"content": text}}]})
    return WireResponse(status, {"content-type": "application/json"}, body)


def recorded(
    prompt_id: str = "why", sample: int = 0, text: str = "Because.", *, prompt: str | None = None
) -> Recorded:
    return Recorded(request(prompt or prompt_id), sample, prompt_id, answer(text), NOON)


def model(name: str = "openai/gpt-4o", key: str | None = None) -> Model:
    adapter = OpenAIAdapter(provider="openai")
    return Model(name, "openai", name, "https://api.example.com/v1", adapter, key=key)


def unit(
    prompt_id: str = "why",
    samples: int = 1,
    *,
    test: str = "evals/test_facts.py::test_capitals",
    of: Model | None = None,
    asking: WireRequest | None = None,
) -> Unit:
    file, name = test.split("::", 1)
    member = of or model()
    return Unit(
        cassette=cassette_path(file, name.replace("::", "."), member.name),
        test=f"{test}[{prompt_id}]",
        model=member,
        prompt_id=prompt_id,
        request=asking or request(prompt_id),
        samples=samples,
    )


def recordings(folder: Path, *, rewrite: bool = False) -> Recordings:
    return Recordings(folder / "cassettes", folder / ".convergence" / "journal", rewrite=rewrite)


def texts(found: list[Found]) -> list[str | None]:
    """The texts of what was found; None for a gap, the reason in brackets for a failure."""
    shown: list[str | None] = []
    for one in found:
        if one is None:
            shown.append(None)
        elif isinstance(one, Recorded):
            body = json.loads(one.response.body)
            shown.append(body["choices"][0]["message"]["content"])
        else:
            shown.append(f"[{one.reason}]")
    return shown


@contextmanager
def counting_server() -> Iterator[str]:
    """A server on loopback that answers each POST with its number and the body's prompt."""
    lock = threading.Lock()
    count = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal count
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                count += 1
                number = count
            prompt = json.loads(body)["messages"][0]["content"]
            reply = answer(f"{prompt} {number}").body.encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
