"""Weights are downloaded from a hub on loopback that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One model with these files; keeps which were fetched."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.fetched: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/model/tree/"):
            data, etag = self._tree(), "tree"
        elif path.startswith("/api/models/org/model"):
            siblings = [{"rfilename": name} for name in self.server.files]
            data = json.dumps({"id": "org/model", "sha": COMMIT, "siblings": siblings}).encode()
            etag = "model"
        elif path.startswith(f"/org/model/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/org/model/resolve/{COMMIT}/")
            data = self.server.files[name]
            etag = hashlib.sha256(data).hexdigest()
            if with_body:
                self.server.fetched.append(name)
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for header, value in {
            "content-length": str(len(data)),
            "content-type": "application/json" if path.startswith("/api") else "text/plain",
            "etag": f'"{etag}"',
            "x-repo-commit": COMMIT,
        }.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _tree(self) -> bytes:
        entries = [
            {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
            for name, data in self.server.files.items()
        ]
        return json.dumps(entries).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    server = Hub(request.param)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def find(hub: Hub, cache: Path, **environment: str) -> str:
    script = """
import os
from pytest_convergence.errors import RepresentationError
from pytest_convergence.represent.weights import find_weights
try:
    print(find_weights("org/model", os.environ).revision)
except RepresentationError as error:
    print(error)
"""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    surroundings |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
    }
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=surroundings | environment,
    )
    return told.stdout.strip() or told.stderr


SAFE = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"again",
        "onnx/model.onnx": b"another format", "1_Pooling/config.json": b"{ }"}  # fmt: skip
TORCH = {"config.json": b"{}", "pytorch_model.bin": b"weights", "tf_model.h5": b"another format"}
DIGEST = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"


@pytest.mark.parametrize("hub", [SAFE], indirect=True)
def test_weights_are_downloaded_once_and_only_in_one_format(hub: Hub, tmp_path: Path) -> None:
    assert find(hub, tmp_path) == DIGEST
    assert sorted(hub.fetched) == ["1_Pooling/config.json", "config.json", "model.safetensors"]
    assert find(hub, tmp_path, HF_HUB_OFFLINE="1") == DIGEST
    assert find(hub, tmp_path) == DIGEST
    assert len(hub.fetched) == 3


@pytest.mark.parametrize("hub", [TORCH], indirect=True)
def test_torchs_own_format_is_downloaded_where_there_is_no_other(hub: Hub, tmp_path: Path) -> None:
    assert find(hub, tmp_path) == DIGEST
    assert sorted(hub.fetched) == ["config.json", "pytorch_model.bin"]


@pytest.mark.parametrize("hub", [SAFE], indirect=True)
def test_nothing_is_asked_of_the_network_where_it_is_said_to_be_off(
    hub: Hub, tmp_path: Path
) -> None:
    assert "not on this machine" in find(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert hub.fetched == []


@pytest.mark.parametrize("hub", [{"config.json": b"{}"}], indirect=True)
def test_a_model_without_weights_is_an_error(hub: Hub, tmp_path: Path) -> None:
    assert "has no weights under this name" in find(hub, tmp_path)
