"""Servers that answer badly, models that are stopped, answers that cannot be kept."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_convergence.errors import SamplingError
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.sampling.sampler import Sampler
from tests.sampling_parts import (
    KEY,
    QUICK,
    each,
    model,
    one,
    plan,
    reason,
    recording,
    recordings,
    replaying,
    settings,
    texts,
    unit,
)
from tests.servers import Asked, ChatServer, Reply, error

LOG = b'{"error": {"message": "no"}}'
TROUBLES = {
    "hang": (Reply(manner="hang"), "no whole answer within 0.4 s"),
    "drip": (Reply(manner="drip"), "no whole answer within 0.4 s"),
    "reset": (Reply(manner="reset"), "the connection broke|the answer broke off"),
    "half": (Reply(manner="half"), "the answer broke off"),
    "page": (
        Reply(body=b"<html><title>Nginx</title></html>"),
        "a web page instead of an answer: Nginx",
    ),
    "torn": (Reply(body=b'{"choices": [{"mess'), "the answer is not JSON"),
    "error": (Reply(body=LOG), "no"),
    "empty": (Reply(body=b""), "empty body"),
    "500": (Reply(500, LOG), "HTTP 500"),
    "429": (Reply(429, LOG), "HTTP 429"),
}


def test_a_server_in_trouble_is_asked_again_and_then_named(tmp_path: Path) -> None:
    with ChatServer(lambda asked: TROUBLES[asked.model][0]).running() as server:
        begun = time.monotonic()
        responses = each(tmp_path, server.url, TROUBLES)
        assert time.monotonic() - begun < 5
        assert Counter(asked.model for asked in server.asked) == dict.fromkeys(TROUBLES, 2)
        for name, (_, says) in TROUBLES.items():
            said = reason(responses[name])
            assert re.search(says, said), said
            assert "2 attempts" in said
            assert f"test/{name}, sample 0 of prompt 'q0'" in said
            replayed = replaying(tmp_path).responses(unit(model(server.url, name)))
            assert replayed[0] == responses[name]


def test_an_error_that_would_come_again_is_not_retried(tmp_path: Path) -> None:
    statuses = ["400", "403", "404", "422"]
    with ChatServer(lambda asked: error(int(asked.model), "never")).running() as server:
        responses = each(tmp_path, server.url, statuses)
        for status in statuses:
            assert f"HTTP {status} never" in reason(responses[status])
        assert sorted(asked.model for asked in server.asked) == statuses


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


def test_with_a_fifth_of_all_calls_failing_every_sample_arrives(tmp_path: Path) -> None:
    chance = random.Random(3)

    def behave(asked: Asked) -> Reply:
        if chance.random() < 0.2:
            return error(chance.choice((429, 503)))
        return Reply(after=0.005)

    with ChatServer(behave).running() as server:
        units = plan(server.url, models=3, prompts=20, samples=2)
        with recording(tmp_path, backoff=0.02) as sampler:
            sampler.start(units)
            assert all(len(set(answers)) == 2 for answers in texts(sampler, units))
            report = sampler.close()
        assert len(server.answered) == 120
        assert report.total.retries == len(server.asked) - 120
        assert len(server.asked) <= 1.15 * 120 / 0.8


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
