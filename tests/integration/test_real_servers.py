"""The adapters against traffic of real servers, served again over a real socket.

``tests/data/wire`` is what ``scripts/check_real_servers.py --capture`` kept of llama-cpp-python,
``transformers serve`` and the LiteLLM proxy; run it to ask the servers themselves.
"""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.fidelity import (
    ignored_parameters,
    rejected_parameters,
    served_another,
)
from pytest_convergence.models.response import Response
from pytest_convergence.models.secrets import kept_headers, redact
from pytest_convergence.models.specs import require_key, resolve
from pytest_convergence.models.wire import WireResponse

FOLDER = Path(__file__).parents[1] / "data" / "wire"
TRAFFIC = {
    (path.stem, exchange["name"]): exchange
    for path in sorted(FOLDER.glob("*.json"))
    for exchange in json.loads(path.read_text(encoding="utf-8"))
}
KEY = "sk-local-0123456789"


@dataclass
class Loopback:
    """A server of the standard library that answers as a captured one did."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    state = Loopback()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode("ascii")
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            server, _, name = self.headers["x-exchange"].partition("/")
            exchange = TRAFFIC[server, name]
            asked = {"path": self.path, "body": body}
            unknown: dict[str, Any] = {
                "status": 599,
                "headers": {},
                "body": f"not what was captured: {body}",
            }
            answer = exchange["response"] if asked == exchange["request"] else unknown
            content = answer["body"].encode()
            self.send_response(answer["status"])
            for name, value in answer["headers"].items():
                if name != "date":
                    self.send_header(name, value)
            self.send_header("set-cookie", "session=secret")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, server: str, name: str) -> tuple[Response, WireResponse]:
    exchange = TRAFFIC[server, name]
    provider = exchange["spec"].partition("/")[0]
    prefix = re.match(r"/v1beta|/v1", exchange["request"]["path"])
    assert prefix is not None
    model = resolve(
        f"{exchange['spec']}@{url}{prefix[0]}",
        environ={f"{provider.upper()}_API_KEY": KEY},
        custom={},
    )
    request = model.adapter.request(
        model=model.model,
        base_url=model.base_url,
        prompt=exchange["prompt"],
        decoding=Decoding.from_mapping(exchange["decoding"], where="a test"),
    )
    headers = {"content-type": "application/json", "x-exchange": f"{server}/{name}"}
    headers |= model.adapter.headers(require_key(model))
    answer = httpx.request(request.method, request.url, content=request.body, headers=headers)
    wire = WireResponse(answer.status_code, kept_headers(dict(answer.headers)), answer.text)
    return model.adapter.parse(wire), wire


@pytest.mark.parametrize(
    ("server", "name"), [pytest.param(*key, id="-".join(key)) for key in TRAFFIC]
)
def test_what_was_sent_to_a_real_server_is_sent_still(
    loopback: Loopback, server: str, name: str
) -> None:
    response, wire = ask(loopback.url, server, name)
    assert wire.status == TRAFFIC[server, name]["response"]["status"]
    good = wire.status == 200
    assert (response.missing is None or response.missing.kind == "truncated") is good
    assert "set-cookie" not in wire.headers


def test_a_key_travels_in_the_header_of_its_format_alone(loopback: Loopback) -> None:
    for name, header in (
        ("answer", "authorization"),
        ("anthropic answer", "x-api-key"),
        ("gemini answer", "x-goog-api-key"),
    ):
        ask(loopback.url, "litellm", name)
        sent = loopback.headers[-1]
        assert [n for n, value in sent.items() if KEY in value] == [header]


@pytest.mark.parametrize("server", ["llama-cpp-python", "transformers", "litellm"])
def test_an_answer_has_text_finish_usage_model_and_date(loopback: Loopback, server: str) -> None:
    response, _ = ask(loopback.url, server, "answer")
    assert response.text.strip()
    assert (response.finish, response.missing) == ("stop", None)
    assert response.usage.input_tokens
    assert response.usage.output_tokens
    assert response.date is not None
    asked = TRAFFIC[server, "answer"]["spec"].partition("/")[2]
    assert not served_another(asked, response.served_model)


def test_llama_cpp_offers_log_probabilities(loopback: Loopback) -> None:
    response, _ = ask(loopback.url, "llama-cpp-python", "logprobs")
    assert "".join(token.token for token in response.logprobs) == response.text
    assert all(token.logprob <= 0 and len(token.top) >= 2 for token in response.logprobs)
    assert ignored_parameters(Decoding(top_logprobs=2), [response]) == ()


def test_transformers_ignores_log_probabilities_and_that_is_reported(loopback: Loopback) -> None:
    response, _ = ask(loopback.url, "transformers", "logprobs")
    assert response.missing is None
    assert ignored_parameters(Decoding(top_logprobs=2), [response]) == ("top_logprobs",)


@pytest.mark.parametrize("server", ["llama-cpp-python", "transformers"])
def test_an_answer_of_one_token_is_truncated(loopback: Loopback, server: str) -> None:
    response, _ = ask(loopback.url, server, "cut")
    assert response.finish == "length"
    assert response.missing is not None
    assert response.missing.reason == "cut off after 1 tokens (length)"


@pytest.mark.parametrize("server", ["llama-cpp-python", "transformers"])
def test_a_stop_sequence_was_honoured(loopback: Loopback, server: str) -> None:
    exchange = TRAFFIC[server, "stop"]
    response, _ = ask(loopback.url, server, "stop")
    stops = tuple(exchange["decoding"]["stop"])
    assert ignored_parameters(Decoding(stop=stops), [response]) == ()


def test_a_parameter_of_the_wrong_kind_is_named_although_the_server_says_500(
    loopback: Loopback,
) -> None:
    _, wire = ask(loopback.url, "llama-cpp-python", "rejected")
    assert wire.status == 500
    decoding = Decoding(extra=(("temperature", "hot"),))
    assert rejected_parameters(decoding, wire) == ("extra.temperature",)


def test_litellm_names_the_parameter_that_the_provider_behind_it_does_not_take(
    loopback: Loopback,
) -> None:
    _, wire = ask(loopback.url, "litellm", "unsupported")
    assert rejected_parameters(Decoding(seed=1, temperature=1.0), wire) == ("seed",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("litellm limited", "HTTP 429 throttling_error: litellm.RateLimitError"),
        ("litellm broken", "HTTP 500 internal_server_error: litellm.InternalServerError"),
        ("litellm window", "HTTP 400 invalid_request_error: litellm.ContextWindowExceededError"),
        ("litellm nobody", "Invalid model name passed in model=nobody"),
        ("anthropic limited", "HTTP 429 rate_limit_error: litellm.RateLimitError"),
        ("anthropic broken", "HTTP 500 api_error: litellm.InternalServerError"),
    ],
)
def test_errors_of_litellm_are_errors_with_their_words(
    loopback: Loopback, name: str, told: str
) -> None:
    response, _ = ask(loopback.url, "litellm", name)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert told in response.missing.reason


def test_litellm_reports_what_a_call_cost(loopback: Loopback) -> None:
    response, _ = ask(loopback.url, "litellm", "cost")
    assert response.usage.cost is not None
    assert response.usage.cost > 0


@pytest.mark.parametrize("form", ["anthropic", "gemini"])
def test_the_other_formats_are_spoken_to_a_server_nobody_here_wrote(
    loopback: Loopback, form: str
) -> None:
    response, _ = ask(loopback.url, "litellm", f"{form} answer")
    assert (response.text, response.finish) == ("The answer is Paris.", "stop")
    assert response.usage.output_tokens


def test_no_capture_holds_a_key_a_cookie_or_a_path() -> None:
    for exchange in TRAFFIC.values():
        text = json.dumps(exchange)
        assert redact(exchange["response"]["body"]) == exchange["response"]["body"]
        assert not re.search(r"Bearer |set-cookie|/home/|/root/|/tmp/", text)
        assert kept_headers(exchange["response"]["headers"]) == exchange["response"]["headers"]


def _spoken_once(answer: bytes) -> Iterator[str]:
    """A server that reads a request, writes these bytes and hangs up."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        ("200 OK", b"<html><title>Sign in</title>", "HTTP 200 with a web page instead of"),
        ("302 Found\r\nLocation: https://else.example/?key=1", b"", "HTTP 302 with an empty body"),
        ("200 OK", b'{"choices": [{"message": {"cont', "the answer is not JSON at character"),
        ("200 OK", b"\xff\xfe\x00garbage", "the answer is not JSON"),
        ("200 OK", b'{"choices": []}', "no choices in the answer"),
        ("503 Busy\r\nRetry-After: 7", b"busy", "HTTP 503: busy"),
        ("200 OK", b'{"error": {"message": "no GPU"}}', "HTTP 200 no GPU"),
    ],
)
def test_a_broken_server_is_an_error_with_its_reason(head: str, body: bytes, reason: str) -> None:
    answer = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    for url in _spoken_once(answer.encode() + body):
        response, wire = ask(url, "llama-cpp-python", "answer")
        assert response.missing is not None
        assert response.missing.kind == "error"
        assert reason in response.missing.reason
        assert wire.headers.get("retry-after", "7") == "7"
