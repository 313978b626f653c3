from __future__ import annotations

import random
import re
import shutil
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.errors import SamplingError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.response import Response
from pytest_convergence.sampling.sampler import Sampler
from tests.sampling_parts import (
    KEY,
    model,
    plan,
    recording,
    recordings,
    replaying,
    settings,
    texts,
    unit,
)
from tests.servers import Asked, ChatServer, Reply, error

QUICK: dict[str, Any] = {"timeout": 0.4, "max_retries": 1, "backoff": 0.01, "total_seconds": 5.0}
LOG = b'{"error": {"message": "no"}}'


def one(folder: Path, url: str, **changes: Any) -> Response:
    """One sample of one model, asked as it is told."""
    with recording(folder, **(QUICK | changes)) as sampler:
        return sampler.responses(unit(model(url)))[0]


def reason(response: Response) -> str:
    assert response.missing is not None
    assert response.missing.kind == "error"
    return response.missing.reason


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(manner="hang"), "no whole answer within 0.4 s"),
        (Reply(manner="drip"), "no whole answer within 0.4 s"),
        (Reply(manner="reset"), "the connection broke|the answer broke off"),
        (Reply(manner="half"), "the answer broke off"),
        (
            Reply(body=b"<html><title>Nginx</title></html>"),
            "a web page instead of an answer: Nginx",
        ),
        (Reply(body=b'{"choices": [{"mess'), "the answer is not JSON"),
        (Reply(body=LOG), "no"),
        (Reply(body=b""), "empty body"),
        (Reply(500, LOG), "HTTP 500"),
        (Reply(429, LOG), "HTTP 429"),
    ],
    ids=["hang", "drip", "reset", "half", "page", "torn", "error", "empty", "500", "429"],
)
def test_a_server_in_trouble_is_asked_again_and_then_named(
    tmp_path: Path, reply: Reply, says: str
) -> None:
    with ChatServer(lambda asked: reply).running() as server:
        begun = time.monotonic()
        response = one(tmp_path, server.url)
        assert time.monotonic() - begun < 5
        assert len(server.asked) == 2
        said = reason(response)
        assert re.search(says, said), said
        assert "2 attempts" in said
        assert "test/m0, sample 0 of prompt 'q0'" in said
        assert replaying(tmp_path).responses(unit(model(server.url)))[0] == response


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_an_error_that_would_come_again_is_not_retried(tmp_path: Path, status: int) -> None:
    with ChatServer(lambda asked: error(status, "never")).running() as server:
        assert f"HTTP {status} never" in reason(one(tmp_path, server.url))
        assert len(server.asked) == 1


INVALID = "1 validation error: {'loc': ('body', 'top_p'), 'msg': 'must be a number up to 1'}"


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        (error(500, INVALID), 1),
        (Reply(body=b'{"error": {"message": "`top_p` is not supported"}}'), 1),
        (error(500, INVALID, x_should_retry="true"), 2),
        (error(500, "validation error of the GPU"), 2),
    ],
    ids=["500", "inside a 200", "the server wants it", "about something else"],
)
def test_a_rejected_parameter_is_not_retried_whatever_the_status(
    tmp_path: Path, reply: Reply, asked: int
) -> None:
    with ChatServer(lambda _: reply).running() as server:
        with recording(tmp_path, **QUICK) as sampler:
            member = unit(model(server.url), decoding=Decoding(top_p=0.9))
            reason(sampler.responses(member)[0])
            report = sampler.close()
        assert len(server.asked) == asked
    assert report.by_model["test/m0"].rejected == (["top_p"] if "GPU" not in str(reply) else [])


def test_max_retries_of_zero_is_honoured(tmp_path: Path) -> None:
    with ChatServer(lambda asked: error(503)).running() as server:
        assert "HTTP 503" in reason(one(tmp_path, server.url, max_retries=0))
        assert len(server.asked) == 1


def test_the_total_budget_of_a_call_ends_its_retries(tmp_path: Path) -> None:
    with ChatServer(lambda asked: error(503)).running() as server:
        begun = time.monotonic()
        one(tmp_path, server.url, max_retries=50, backoff=0.2, total_seconds=1.0)
        assert time.monotonic() - begun < 2
        assert 2 <= len(server.asked) <= 6


def test_the_pauses_that_a_provider_asks_for_count_in_the_budget_of_a_call(tmp_path: Path) -> None:
    with ChatServer(lambda asked: error(429, retry_after="0.6")).running() as server:
        begun = time.monotonic()
        assert "HTTP 429" in reason(one(tmp_path, server.url, max_retries=50, total_seconds=1.5))
        assert time.monotonic() - begun < 3
        assert 2 <= len(server.asked) <= 3


def test_a_wrong_key_stops_the_model_and_names_the_variable_but_not_the_key(tmp_path: Path) -> None:
    with ChatServer(lambda asked: error(401, f"wrong key {KEY}")).running() as server:
        member = replace(model(server.url), key_variable="TEST_API_KEY")
        with recording(tmp_path, **QUICK) as sampler, pytest.raises(SamplingError) as caught:
            sampler.responses(unit(member))
        assert len(server.asked) == 1
        assert "TEST_API_KEY" in str(caught.value)
        assert "test/m0" in str(caught.value)
        assert KEY not in str(caught.value)
        assert not list(tmp_path.rglob("*.missing.json"))


def test_a_missing_key_is_named_before_any_call(tmp_path: Path) -> None:
    with ChatServer().running() as server:
        member = replace(model(server.url, key=None), key_variable="TEST_API_KEY")
        with (
            recording(tmp_path, **QUICK) as sampler,
            pytest.raises(SamplingError, match="TEST_API_KEY"),
        ):
            sampler.responses(unit(member))
        assert not server.asked


def test_a_model_that_is_stopped_leaves_the_others_alone(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Reply:
        return error(401) if asked.model == "m0" else Reply()

    with ChatServer(behave).running() as server, recording(tmp_path, **QUICK) as sampler:
        units = plan(server.url, models=2, prompts=20)
        sampler.start(units)
        assert len(sampler.responses(units[-1])) == 2
        with pytest.raises(SamplingError, match="test/m0"):
            sampler.responses(units[0])


def test_a_server_that_is_not_there_is_given_up_on(tmp_path: Path) -> None:
    units = plan("http://127.0.0.1:9/v1", models=1, prompts=200)
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


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.time
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: clock() + next(jumps) * 3600 * (-1) ** next(jumps))
    with ChatServer(lambda asked: Reply(after=0.05)).running() as server:
        with recording(tmp_path, **QUICK) as sampler:
            units = plan(server.url, prompts=10)
            sampler.start(units)
            begun = time.monotonic()
            assert all(texts(sampler, units))
            assert time.monotonic() - begun < 5
        assert len(server.asked) == 40


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    moments: list[float] = []

    def behave(asked: Asked) -> Reply:
        moments.append(asked.started)
        return error(429, retry_after="1") if asked.number == 0 else Reply()

    with ChatServer(behave).running() as server:
        assert one(tmp_path, server.url).missing is None
        assert 1.0 <= moments[1] - moments[0] < 2.0


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("asked", ["-5", "0", "soon", "nan", "inf", "-1e9", "past"])
def test_a_pause_that_makes_no_sense_is_none(tmp_path: Path, asked: str) -> None:
    asked = in_seconds(-3600) if asked == "past" else asked
    with ChatServer(lambda _: error(429, retry_after=asked)).running() as server:
        begun = time.monotonic()
        assert "HTTP 429" in reason(one(tmp_path, server.url))
        assert time.monotonic() - begun < 4
        assert len(server.asked) == 2


def test_a_pause_until_a_date_is_waited_for(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Reply:
        return error(503, retry_after=in_seconds(2)) if asked.number == 0 else Reply()

    with ChatServer(behave).running() as server:
        assert one(tmp_path, server.url).missing is None
        # A date counts whole seconds.
        assert 1.0 <= server.asked[1].started - server.asked[0].started < 3.5


@pytest.mark.parametrize("asked", ["1000000000", "9e14", "tomorrow", "9999", "5400000000ms"])
def test_an_absurd_pause_stops_the_model_at_once(tmp_path: Path, asked: str) -> None:
    asked = in_seconds(86400) if asked == "tomorrow" else asked
    asked = "Fri, 31 Dec 9999 23:59:59 GMT" if asked == "9999" else asked
    with ChatServer(lambda _: error(429, retry_after=asked)).running() as server:
        begun = time.monotonic()
        with (
            recording(tmp_path, **QUICK) as sampler,
            pytest.raises(SamplingError, match=r"test/m0 cannot be asked: .* asks to wait \d+ s"),
        ):
            sampler.responses(unit(model(server.url)))
        assert time.monotonic() - begun < 4
        assert len(server.asked) == 1


def test_a_provider_that_asks_to_wait_for_hours_stops_the_model(tmp_path: Path) -> None:
    with (
        ChatServer(lambda asked: error(429, retry_after="7200")).running() as server,
        recording(tmp_path, **QUICK) as sampler,
        pytest.raises(SamplingError, match="asks to wait 7200 s"),
    ):
        sampler.responses(unit(model(server.url)))


def test_with_a_fifth_of_all_calls_failing_every_sample_arrives(tmp_path: Path) -> None:
    chance = random.Random(3)

    def behave(asked: Asked) -> Reply:
        if chance.random() < 0.2:
            return error(chance.choice((429, 503)))
        return Reply(after=0.005)

    with ChatServer(behave).running() as server:
        units = plan(server.url, models=3, prompts=40, samples=2)
        with recording(tmp_path, backoff=0.02) as sampler:
            sampler.start(units)
            assert all(len(set(answers)) == 2 for answers in texts(sampler, units))
            report = sampler.close()
        assert len(server.answered) == 240
        assert report.total.retries == len(server.asked) - 240
        assert len(server.asked) <= 1.15 * 240 / 0.8


def test_calls_under_way_when_a_run_ends_are_kept(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.5)).running() as server:
        units = plan(server.url, models=1, prompts=100, samples=1)
        with recording(tmp_path) as sampler:
            sampler.start(units)
            while len(server.asked) < 8:
                time.sleep(0.01)
        begun = len(server.asked)
        assert begun < 30
        kept = recordings(tmp_path)
        found = [asked for asked in units if None not in kept.find(asked)]
        assert len(found) == begun


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".convergence").write_text("in the way")
    with ChatServer().running() as server:
        sampler = Sampler(recordings(tmp_path), settings(tmp_path))
        with pytest.raises(SamplingError, match=r"cannot share limits: .*a file, not a folder"):
            sampler.start(plan(server.url))
        assert not server.asked
        assert not [t for t in threading.enumerate() if t.name == "convergence-sampling"]


@pytest.mark.parametrize("part", ["journal", "locks"])
def test_where_no_answer_could_be_kept_none_is_asked_for(tmp_path: Path, part: str) -> None:
    place = tmp_path / ".convergence" / part
    with ChatServer().running() as server:
        with recording(tmp_path) as sampler:
            place.parent.mkdir(exist_ok=True)
            place.write_text("in the way")
            with pytest.raises(SamplingError, match=f"cannot keep answers: .*{part}") as caught:
                sampler.responses(unit(model(server.url)))
            assert "nothing was asked" in str(caught.value)
            place.unlink()
        assert not server.asked


def test_an_answer_that_cannot_be_kept_stops_sampling(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.2)).running() as server:
        units = plan(server.url, models=1, prompts=100, samples=1)
        with recording(tmp_path) as sampler:
            sampler.start(units)
            while not server.asked:
                time.sleep(0.01)
            (lock,) = (tmp_path / ".convergence" / "locks").rglob("*.lock")
            lock.unlink()
            lock.mkdir()  # in the way
            with pytest.raises(SamplingError, match="cannot keep an answer"):
                sampler.all_responses(units)
            lock.rmdir()
        assert len(server.asked) < 40
