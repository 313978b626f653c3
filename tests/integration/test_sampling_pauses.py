"""Retries and pauses: those that a provider asks for, and how long they may take."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from pytest_convergence.errors import SamplingError
from tests.sampling_parts import QUICK, each, model, one, plan, reason, recording, texts, unit
from tests.servers import Asked, ChatServer, Reply, error


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


def test_a_pause_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    pauses = {pause: pause for pause in ("-5", "0", "soon", "nan", "inf", "-1e9")}
    pauses["past"] = in_seconds(-3600)
    with ChatServer(lambda asked: error(429, retry_after=pauses[asked.model])).running() as server:
        begun = time.monotonic()
        responses = each(tmp_path, server.url, pauses)
        assert all("HTTP 429" in reason(response) for response in responses.values())
        assert time.monotonic() - begun < 4
        assert Counter(asked.model for asked in server.asked) == dict.fromkeys(pauses, 2)


def test_a_pause_until_a_date_is_waited_for(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Reply:
        return error(503, retry_after=in_seconds(2)) if asked.number == 0 else Reply()

    with ChatServer(behave).running() as server:
        assert one(tmp_path, server.url).missing is None
        # A date counts whole seconds.
        assert 1.0 <= server.asked[1].started - server.asked[0].started < 3.5


def test_an_absurd_pause_stops_the_model_at_once(tmp_path: Path) -> None:
    pauses = {pause: pause for pause in ("1000000000", "9e14", "5400000000ms")}
    pauses |= {"tomorrow": in_seconds(86400), "9999": "Fri, 31 Dec 9999 23:59:59 GMT"}
    with ChatServer(lambda asked: error(429, retry_after=pauses[asked.model])).running() as server:
        begun = time.monotonic()
        units = [unit(model(server.url, name)) for name in pauses]
        with recording(tmp_path, **QUICK) as sampler:
            sampler.start(units)
            for asked in units:
                says = rf"{asked.model.name} cannot be asked: .* asks to wait \d+ s"
                with pytest.raises(SamplingError, match=says):
                    sampler.responses(asked)
        assert time.monotonic() - begun < 4
        assert sorted(asked.model for asked in server.asked) == sorted(pauses)


def test_a_provider_that_asks_to_wait_for_hours_stops_the_model(tmp_path: Path) -> None:
    with (
        ChatServer(lambda asked: error(429, retry_after="7200")).running() as server,
        recording(tmp_path, **QUICK) as sampler,
        pytest.raises(SamplingError, match="asks to wait 7200 s"),
    ):
        sampler.responses(unit(model(server.url)))


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
