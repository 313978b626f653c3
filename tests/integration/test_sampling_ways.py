"""The way to a server: nobody there, redirects, certificates and proxies."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from pytest_convergence.errors import SamplingError
from tests.sampling_parts import QUICK, model, one, plan, reason, recording, unit
from tests.servers import Asked, ChatServer, Reply


def test_a_server_that_is_not_there_is_given_up_on(tmp_path: Path) -> None:
    units = plan("http://127.0.0.1:9/v1", models=1, prompts=50)
    with recording(tmp_path, **QUICK) as sampler:
        sampler.start(units)
        begun = time.monotonic()
        with pytest.raises(SamplingError, match="test/m0 cannot be reached: no connection"):
            sampler.all_responses(units)
        assert time.monotonic() - begun < 10


def test_a_redirect_is_not_followed_and_the_key_stays(tmp_path: Path) -> None:
    with ChatServer().running() as elsewhere:

        def behave(asked: Asked) -> Reply:
            return Reply(307, b"", {"location": f"{elsewhere.url}/chat/completions"})

        with (
            ChatServer(behave).running() as server,
            recording(tmp_path, **QUICK) as sampler,
            pytest.raises(SamplingError, match="redirects to 127"),
        ):
            sampler.responses(unit(model(server.url)))
        assert not elsewhere.asked


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_bad_certificate_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1"
        " -subj /CN=localhost",
        shell=True,
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with (
        ChatServer(tls=tls).running() as server,
        recording(tmp_path, **QUICK) as sampler,
        pytest.raises(SamplingError, match=r"test/m0 .*certificate"),
    ):
        sampler.responses(unit(model(server.url)))
    assert not server.asked


def test_http_proxy_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer().running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        response = one(tmp_path, "http://api.example.com/v1")
        assert response.missing is None
        assert proxy.asked[0].path == "http://api.example.com/v1/chat/completions"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    begun = time.monotonic()
    said = reason(one(tmp_path, "http://api.example.com/v1"))
    assert time.monotonic() - begun < 5
    assert "no connection" in said
    assert "test/m0, sample 0 of prompt 'q0', http://api.example.com/v1" in said


@pytest.mark.parametrize("status", [403, 407, 502])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, status: int
) -> None:
    with ChatServer(lambda asked: Reply(status, b"<html>Squid</html>")).running() as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        begun = time.monotonic()
        said = reason(one(tmp_path, f"{scheme}://api.example.com/v1"))
        assert time.monotonic() - begun < 5
        assert str(status) in said
        assert f"test/m0, sample 0 of prompt 'q0', {scheme}://api.example.com/v1" in said
        assert 1 <= len(proxy.asked) <= 2


def test_no_proxy_keeps_an_address_off_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer().running() as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert one(tmp_path, server.url).missing is None


@pytest.mark.parametrize("proxy", ["nonsense://x", "http://[::1", "127.0.0.1:9:9"])
def test_a_proxy_that_makes_no_sense_is_an_error_that_names_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with (
        recording(tmp_path, **QUICK) as sampler,
        pytest.raises(SamplingError, match="test/m0") as caught,
    ):
        sampler.responses(unit(model("http://api.example.com/v1")))
    assert "fault of pytest-convergence" not in str(caught.value)
