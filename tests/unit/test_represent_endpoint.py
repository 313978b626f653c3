"""Embeddings over HTTP, from a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import numpy as np
import pytest

from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.embedders import load_embedder
from pytest_convergence.represent.engines.endpoint import EndpointEmbedder

KEY = "sk-secret1234567890"
Answer: TypeAlias = Callable[[list[str], int], tuple[int, dict[str, str], Any]]


class Server(ThreadingHTTPServer):
    """Answers by a function of the texts and the number of the call, and keeps what came."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def texts(self) -> list[list[str]]:
        return [body["input"] for _, _, body in self.calls if body["input"] != ["revision"]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append((self.path, headers, body))
        status, extra, answer = self.server.answer(body["input"], len(self.server.calls))
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in ({"content-length": str(len(data))} | extra).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def vector(text: str) -> list[float]:
    return [3.0, 4.0 * len(text), 0.0, float(len(text) % 7)]


def good(
    texts: list[str], call: int = 0, model: str = "served-1"
) -> tuple[int, dict[str, str], Any]:
    data = [{"index": i, "embedding": vector(text)} for i, text in enumerate(texts)]
    return 200, {}, {"object": "list", "data": data[::-1], "model": model}


@contextmanager
def serving(answer: Answer = good) -> Iterator[tuple[Server, EndpointEmbedder]]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    embedder = EndpointEmbedder("endpoint:m", "m", server.url, KEY, wait=lambda attempt: 0.01)
    try:
        yield server, embedder
    finally:
        embedder.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_vectors_are_unit_and_in_the_order_of_the_texts() -> None:
    with serving() as (server, embedder):
        vectors = embedder.embed(["a", "bbb"])
    assert vectors.dtype == np.float32
    for row, text in zip(vectors, ["a", "bbb"], strict=True):
        expected = np.array(vector(text)) / np.linalg.norm(vector(text))
        assert row == pytest.approx(expected, abs=1e-6)
    path, headers, body = server.calls[0]
    assert path == "/v1/embeddings"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "m"


def test_an_endpoint_is_loaded_by_model_and_address_with_its_own_key() -> None:
    environ = {"OPENAI_API_KEY": KEY, "ENDPOINT_API_KEY": "other"}
    with serving() as (server, _):
        embedder = load_embedder(f"endpoint:org/m@{server.url}/", environ=environ)
        assert isinstance(embedder, EndpointEmbedder)
        embedder.embed(["a"])
        embedder.close()
    assert embedder.name == "endpoint:org/m"
    assert embedder.revision == "served-1"
    assert {headers["authorization"] for _, headers, _ in server.calls} == {"Bearer other"}
    assert server.calls[0][2]["model"] == "org/m"


def test_openai_needs_its_key_and_shows_it_nowhere() -> None:
    with pytest.raises(RepresentationError, match="OPENAI_API_KEY"):
        load_embedder("openai:text-embedding-3-small", environ={})
    embedder = load_embedder("openai:text-embedding-3-small", environ={"OPENAI_API_KEY": KEY})
    assert isinstance(embedder, EndpointEmbedder)
    assert embedder.name == "openai:text-embedding-3-small"
    assert embedder.base_url == "https://api.openai.com/v1"
    assert KEY not in repr(embedder)


def test_many_texts_go_in_batches() -> None:
    with serving() as (server, embedder):
        vectors = embedder.embed([f"{number}" * number for number in range(1, 71)])
    assert vectors.shape == (70, 4)
    assert [len(texts) for texts in server.texts] == [32, 32, 6]


def test_what_may_pass_is_asked_again() -> None:
    def busy(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        if call <= 2:
            return (429 if call == 1 else 503), {"retry-after": "0.02"}, {"error": "busy"}
        return good(texts)

    with serving(busy) as (server, embedder):
        assert embedder.embed(["a"]).shape == (1, 4)
    assert len(server.calls) == 4  # two refused, the answer, and the question for the revision


def test_a_server_that_stays_busy_is_an_error_without_the_key() -> None:
    def busy(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        return 429, {}, {"error": {"message": f"quota of {KEY} and org-abc123xyz used up"}}

    with serving(busy) as (server, embedder):
        with pytest.raises(RepresentationError, match=r"HTTP 429") as caught:
            embedder.embed(["a"])
        assert len(server.calls) == 6
    assert KEY not in str(caught.value)
    assert "org-abc123xyz" not in str(caught.value)


def test_a_refusal_is_not_asked_again() -> None:
    def refuse(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        return 401, {}, {"error": {"message": "bad key"}}

    with serving(refuse) as (server, embedder):
        with pytest.raises(RepresentationError, match="HTTP 401"):
            embedder.embed(["a"])
        assert len(server.calls) == 1


def test_no_connection_is_an_error_that_names_the_address() -> None:
    embedder = EndpointEmbedder("endpoint:m", "m", "http://127.0.0.1:9/v1", wait=lambda n: 0.0)
    with pytest.raises(RepresentationError, match=r"127\.0\.0\.1:9"):
        embedder.embed(["a"])
    embedder.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        [],
        {"data": []},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"error": {"message": "200, and yet an error"}},
    ],
)
def test_an_answer_without_usable_embeddings_is_an_error(answer: Any) -> None:
    with (
        serving(lambda texts, call: (200, {}, answer)) as (_, embedder),
        pytest.raises(RepresentationError, match="no embeddings from endpoint:m"),
    ):
        embedder.embed(["a"])


def test_vectors_of_different_lengths_are_an_error() -> None:
    def ragged(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        data = [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(len(texts))]
        return 200, {}, {"data": data}

    with (
        serving(ragged) as (_, embedder),
        pytest.raises(RepresentationError, match="differ in length"),
    ):
        embedder.embed(["a", "b"])


def test_a_server_that_changes_its_model_is_an_error() -> None:
    def changing(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        return good(texts, model="first" if call < 3 else "second")

    with serving(changing) as (_, embedder):
        embedder.embed(["a"])
        with pytest.raises(RepresentationError, match="answered as second, and before as first"):
            embedder.embed(["b"])


def test_a_text_beyond_the_servers_limit_is_cut_and_the_others_are_not() -> None:
    def limited(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        if max(map(len, texts)) > 3000:
            return 400, {}, {"error": {"message": "maximum context length is 1000 tokens"}}
        return good(texts)

    with serving(limited) as (server, embedder):
        vectors = embedder.embed(["a" * 2000, "b" * 10_000, "c"])
    assert len(vectors) == 3
    answered = [len(text) for texts in server.texts for text in texts if len(texts) == 1]
    assert answered == [2000, 10_000, 5000, 2500, 1]


def test_a_request_that_is_wrong_in_itself_ends_the_cutting() -> None:
    def wrong(texts: list[str], call: int) -> tuple[int, dict[str, str], Any]:
        return 400, {}, {"error": {"message": "no such model"}}

    with (
        serving(wrong) as (_, embedder),
        pytest.raises(RepresentationError, match=r"HTTP 400|no embeddings") as caught,
    ):
        embedder.embed(["a" * 5000])
    assert "no such model" in str(caught.value)


def test_hostile_texts_go_over_the_wire() -> None:
    with serving() as (server, embedder):
        vectors = embedder.embed(["\ud800", "\x00", "\x1b[2J", "x" * 2_000_000])
    assert vectors.shape == (4, 4)
    assert server.texts[0][0] == "\ufffd"
    assert max(map(len, server.texts[0])) <= 32_000
